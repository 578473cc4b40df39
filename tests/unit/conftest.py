"""Settings of all unit tests."""

import os

from hypothesis import settings

# What reckons for numpy would begin threads, and some tests are of what only a process with one thread can do.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# Nor does one ask what this machine trusts, and each TLS context would read all of it: for 50 ms.
os.environ["SSL_CERT_FILE"] = os.devnull

# No test is timed: how long an example takes is a matter of the machine.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
