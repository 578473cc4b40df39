"""`inferops gateway`: the built-in gateway's process, its logs and its exit code."""

from __future__ import annotations

import logging
import sys

import uvloop

from inferops.cli.logs import Form, set_up
from inferops.gateway.process import Gateway, Options, end_on_signals, spare_pauses
from inferops.gateway.sources.files import BadFile

log = logging.getLogger("inferops")


def gateway(options: Options, log_level: str, log_format: Form = "text") -> int:
    """Run until SIGTERM. Returns 0 then, 1 when something broke, 2 for an option that cannot be."""
    if set_up(log_level, log_format) is None:
        return 2

    async def main() -> None:
        process = Gateway(options)
        end_on_signals(process)
        spare_pauses()
        await process.run()

    try:
        uvloop.run(main())
    except (BadFile, OSError) as error:
        print(f"inferops gateway: {error}", file=sys.stderr)
        return 2
    except Exception:
        log.exception("the gateway ends")
        return 1
    return 0
