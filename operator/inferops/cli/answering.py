"""Runs a command up to its exit code, whatever becomes of it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any

from inferops.cli.access import Refusal, Where, meant, refusal
from inferops.cli.lines import clean
from inferops.cli.rolloutstate import INTERRUPTED, Code
from inferops.kube.client import KubeError


def answered(command: Coroutine[Any, Any, int], where: Where, name: str = "") -> int:
    """Run `command`, and say why where it cannot be carried out. Returns its exit code."""
    try:
        return asyncio.run(command)
    except Refusal as error:
        print(clean(str(error)), file=sys.stderr)
    except KubeError as error:
        print(clean(refusal(error, meant(where, name))), file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Code.ENDED
    return Code.ERROR
