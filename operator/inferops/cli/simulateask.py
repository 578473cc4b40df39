"""The command line of `inferops simulate`, as it was typed, and how its words are read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

from inferops.api.formats import seconds
from inferops.simulate.scaling.scenario import ColdStart
from inferops.simulate.traces.promrange import QUERY

PARTS = tuple(field.name for field in fields(ColdStart) if field.name != "spread")


class BadOption(ValueError):
    """A word of the command line that cannot be used: which one, and what would do."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. Empty: not given."""

    file: Path
    service: str | None = None
    trace: Path | None = None
    rates: Path | None = None
    poisson: str = ""
    prometheus: str = ""
    query: str = ""
    start: str = ""
    end: str = ""
    step: str = ""
    sizes: Path | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cv: float | None = None
    speed: float = 1.0
    scale: float = 1.0
    duration: str = ""
    clock: str = ""
    seed: int = 0
    replicas: int | None = None
    room: int | None = None
    cold_start: str = ""
    price: float | None = None
    compare: str = ""
    suggest: bool = False
    check: bool = False
    json: Path | None = None
    html: Path | None = None


def length(option: str, text: str) -> float:
    """Seconds of a time such as 180s, 2h or 1h30m. Raises BadOption."""
    try:
        found = seconds(text.strip())
    except ValueError:
        raise BadOption(f"{option} {text!r}: write a time, for example 30s, 10m or 1h30m") from None
    return found


def rate_and_length(text: str) -> tuple[float, float]:
    """`12,2h`: requests a second and seconds. Raises BadOption."""
    head, comma, rest = text.partition(",")
    try:
        rate = float(head)
    except ValueError:
        rate = -1.0
    if not isfinite(rate) or rate <= 0:
        raise BadOption(f"--poisson {text!r}: write requests a second and a time, for example 12,2h")
    lasts = length("--poisson", rest) if comma else 3600.0
    if lasts <= 0:
        raise BadOption(f"--poisson {text!r}: the time must be above 0, for example 12,2h")
    return rate, lasts


def cold_start(text: str, default: ColdStart) -> ColdStart:
    """`180s`, or parts such as `pull=20s,load=120s`; parts left out are as in `default`. Raises BadOption."""
    if not text:
        return default
    if "=" not in text:
        return ColdStart(schedule=0.0, pull=0.0, load=length("--cold-start", text), warm=0.0, node=default.node)
    found = {name: getattr(default, name) for name in PARTS}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        if name not in found:
            raise BadOption(f"--cold-start {part!r}: there are {', '.join(PARTS)}, for example pull=20s,load=120s")
        found[name] = length("--cold-start", value)
    return ColdStart(**found)


def moment(option: str, text: str, now: float) -> float:
    """Unix seconds of `now`, `-7d`, a time in ISO 8601 or Unix seconds. Raises BadOption."""
    text = text.strip()
    try:
        if text == "now":
            return now
        if text.startswith("-"):
            return now - seconds(text[1:])
        if text.replace(".", "", 1).isdigit():
            return float(text)
        found = datetime.fromisoformat(text)
    except ValueError:
        told = "write a time such as 2026-11-20T08:00:00Z, -7d, now, or Unix seconds"
        raise BadOption(f"{option} {text!r}: {told}") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def check(question: Question) -> None:
    """What can be told to be wrong without reading any file. Raises BadOption."""
    sources = {
        "--trace": question.trace,
        "--rates": question.rates,
        "--poisson": question.poisson,
        "--prometheus": question.prometheus,
    }
    given = [name for name, value in sources.items() if value]
    if len(given) != 1:
        told = f"{' and '.join(given)} are given" if given else "no traffic is given"
        raise BadOption(f"{told}: give one of {', '.join(sources)}")
    for option, value in (("--speed", question.speed), ("--scale", question.scale)):
        if not isfinite(value) or value <= 0:
            raise BadOption(f"{option} {value:g}: must be above 0, for example 2")
    if question.price is not None and not (isfinite(question.price) and question.price >= 0):
        raise BadOption(f"--price {question.price:g}: must be 0 or more US dollars an hour of one accelerator")
    if bool(question.prometheus) != bool(question.query):
        raise BadOption(f"--prometheus and --query go together, for example --query '{QUERY}'")
    alone = [name for name in ("start", "end", "step") if getattr(question, name) and not question.prometheus]
    if alone:
        raise BadOption(f"--{alone[0]} is for --prometheus")
    if question.cv is not None and question.trace is not None:
        raise BadOption("--cv is for requests drawn from rates; those of --trace come when they came")
    for option, path in (("--html", question.html), ("--json", question.json)):
        if path is not None and str(path) != "-" and not path.resolve().parent.is_dir():
            raise BadOption(f"{option} {path}: there is no folder {path.parent}; create it or name another")
    if question.sizes is not None and (question.prompt_tokens or question.output_tokens):
        raise BadOption("--sizes and --prompt-tokens or --output-tokens exclude each other; take one of them away")
