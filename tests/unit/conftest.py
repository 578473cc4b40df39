"""Settings of all unit tests."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# What reckons for numpy would begin threads, and some tests are of what only a process with one thread can do.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# Nor does one ask what this machine trusts, and each TLS context would read all of it: for 50 ms.
os.environ["SSL_CERT_FILE"] = os.devnull

# No test is timed: how long an example takes is a matter of the machine.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def logging_is_as_before() -> Iterator[None]:
    """What a command set up is gone after its test: its stream is, too, and each later line would end in a report of
    that, with a stack that takes milliseconds."""
    root = logging.getLogger()
    before, level = set(root.handlers), root.level
    yield
    for handler in set(root.handlers) - before:
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    root.setLevel(level)
