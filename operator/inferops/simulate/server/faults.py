"""Faults that a simulated engine is told to have, so that canaries can be bad; its environment says which.

`INFEROPS_SIMULATED_FAULT` holds words with commas between them. No serving engine reads it: it means something to the
simulation alone. Seconds are the engine's own, as those of its load.

| word | the engine |
|---|---|
| `errors=SHARE` | answers such a share of its requests 500, in an order that is the same in each process |
| `slow=FACTOR` | takes so many times as long for each step, and so for TTFT and TPOT |
| `load-crash`, `load-oom` | exits while it loads: 1, and 137 as the kernel's killer does it |
| `never-ready` | loads for ever |
| `crash-after=SECONDS`, `oom-after=SECONDS` | exits 1, or 137, so long after it was ready |
| `hang-after=SECONDS` | answers nothing from then on, though its health check does |

    env: [{name: INFEROPS_SIMULATED_FAULT, value: "errors=0.3,slow=3"}]
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Middleware

from inferops.simulate.server.failures import ApiError, StartFailure

VARIABLE = "INFEROPS_SIMULATED_FAULT"
OUT_OF_MEMORY = 137  # 128 + SIGKILL
SWITCHES = ("load-crash", "load-oom", "never-ready")
NUMBERS = ("errors", "slow", "crash-after", "oom-after", "hang-after")
SEED = 1

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with an engine. None of it: nothing does."""

    errors: float = 0.0  # share of requests
    slow: float = 1.0  # times as long
    load_code: int | None = None  # with which it exits while loading
    never_ready: bool = False
    crash_after: float | None = None  # seconds since it was ready
    oom_after: float | None = None
    hang_after: float | None = None

    def middleware(self) -> Middleware:
        """Answers requests with errors, before the engine sees them. Health checks and metrics are no requests."""
        chance = random.Random(SEED)

        @web.middleware
        async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method != "POST" or chance.random() >= self.errors:
                return await handler(request)
            error = ApiError(500, "InternalServerError", f"simulated: {VARIABLE} asks for errors")
            return web.json_response(error.body(), status=error.status)

        return fail

    def load(self) -> None:
        """Raises `StartFailure` where the load ends the engine."""
        if self.load_code is not None:
            raise StartFailure(f"simulated: {VARIABLE} ends the load", self.load_code)


def read_faults(env: Mapping[str, str]) -> Faults:
    """The faults that an environment asks for. Raises `StartFailure` with code 2 for what is not understood."""
    words = [word.strip() for word in env.get(VARIABLE, "").split(",") if word.strip()]
    found = dict(map(_word, words))
    if len(found) < len(words):
        raise _refused(env[VARIABLE], "a word stands there twice")
    if found.get("errors", 0.0) > 1:
        raise _refused(env[VARIABLE], "a share of errors is at most 1")
    codes = {"load-crash": 1, "load-oom": OUT_OF_MEMORY}
    return Faults(
        errors=found.get("errors", 0.0),
        slow=found.get("slow", 1.0),
        load_code=next((code for word, code in codes.items() if word in found), None),
        never_ready="never-ready" in found,
        crash_after=found.get("crash-after"),
        oom_after=found.get("oom-after"),
        hang_after=found.get("hang-after"),
    )


def _word(word: str) -> tuple[str, float]:
    name, _, number = word.partition("=")
    if name in SWITCHES and not number:
        return name, 1.0
    if name not in NUMBERS:
        raise _refused(word, f"there are {', '.join(SWITCHES)} and, with =NUMBER, {', '.join(NUMBERS)}")
    try:
        value = float(number)
    except ValueError:
        raise _refused(word, f"write {name}=NUMBER") from None
    if not (0 <= value < float("inf")) or (name == "slow" and not value):
        raise _refused(word, "the number must be above 0")
    return name, value


def _refused(what: str, why: str) -> StartFailure:
    return StartFailure(f"simulated: {VARIABLE}: {what!r}: {why}", code=2)
