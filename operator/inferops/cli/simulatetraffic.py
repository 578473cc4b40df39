"""The traffic of `inferops simulate`: which requests come, and what is known of them beforehand."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from random import Random

from inferops.api.inferenceservice import LoadSpec
from inferops.cli.simulateask import BadOption, Question, length, moment, rate_and_length
from inferops.simulate.report import words
from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces import kinds, promrange
from inferops.simulate.traces.lines import BadTrace
from inferops.simulate.traces.rates import Step
from inferops.simulate.traces.renewal import arrivals
from inferops.simulate.traces.sizes import Lognormal, Sizes, sampled
from inferops.simulate.traces.traffic import Shaping, Traffic, drawn, replayed

WEEK = datetime(2024, 1, 1, tzinfo=UTC).timestamp()  # a Monday, where nothing tells when the requests came
MOST = 100_000_000  # requests; they would take an hour
BEGINNING, BUSY = 300.0, 60.0  # seconds
FIRST = 20_000  # requests that stand for all in load tests
APART = 1 << 32  # between the sessions of requests that are sent again


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests, with what a report says of them."""

    requests: Traffic
    told: str
    clock: float  # Unix seconds of their beginning


@dataclass(frozen=True, slots=True)
class Survey:
    """What the requests come to, all seen once."""

    count: int
    seconds: float
    prompt: float  # mean tokens
    output: float
    busiest: float  # requests a second of the busiest minute
    beginning: float  # requests a second of the first minutes
    longest: float  # seconds without any request
    full: int  # requests as long as the context, and longer ones that were cut to it
    first: tuple[Request, ...]

    @property
    def rate(self) -> float:
        return self.count / max(self.seconds, 1e-9)


def asked(question: Question, load: LoadSpec, context: int, answers: bool = True) -> Asked:
    """The traffic that the command line describes. Raises BadOption and BadTrace."""
    duration = length("--duration", question.duration) if question.duration else None
    shaping = Shaping(question.speed, question.scale, duration, context, answers)
    if question.trace is not None:
        return _replayed(question, shaping, load)
    steps, told, clock = _steps(question)
    if question.cv is not None:
        steps = [step._replace(cv=question.cv) for step in steps]
    sizes = _sizes(question) or Lognormal(
        question.prompt_tokens or load.prompt_tokens, question.output_tokens or load.output_tokens
    )
    _check_number(steps, shaping)
    about = "sizes of " + str(question.sizes) if question.sizes else _about(sizes)
    return Asked(drawn(steps, sizes, shaping, question.seed), f"{told}; {about}{_shaped(shaping)}", clock)


def _replayed(question: Question, shaping: Shaping, load: LoadSpec) -> Asked:
    assert question.trace is not None
    read = kinds.requests(question.trace)
    sizes = _sizes(question)
    if sizes is None and (question.prompt_tokens or question.output_tokens):
        sizes = Lognormal(question.prompt_tokens or load.prompt_tokens, question.output_tokens or load.output_tokens)
    requests = replayed(read, str(question.trace), shaping, question.seed, sizes)
    first = next(iter(read()), None)
    known = first is not None and kinds.kind_of(question.trace) == kinds.AZURE
    clock = _clock(question, first.time if known and first is not None else WEEK)
    about = "" if sizes is None else f"; {_about(sizes)}"
    return Asked(requests, f"{question.trace}{about}{_shaped(shaping)}", clock)


def _steps(question: Question) -> tuple[list[Step], str, float]:
    """Rates, what to say of them, and when they begin."""
    if question.poisson:
        rate, lasts = rate_and_length(question.poisson)
        return [Step(lasts, rate)], f"Poisson, {words.rate(rate)} a second", _clock(question, WEEK)
    if question.rates is not None:
        return kinds.steps(question.rates), f"drawn from {question.rates}", _clock(question, WEEK)
    now = time.time()
    end = moment("--end", question.end or "now", now)
    start = moment("--start", question.start or "-7d", now)
    step = length("--step", question.step or "1m")
    found = promrange.ask(promrange.connected(question.prometheus), question.query, start, end, step)
    return found, f"drawn from Prometheus, {question.query}", _clock(question, start)


def _clock(question: Question, otherwise: float) -> float:
    return moment("--clock", question.clock, time.time()) if question.clock else otherwise


def _sizes(question: Question) -> Sizes | None:
    if question.sizes is None:
        return None
    try:
        return sampled(kinds.requests(question.sizes)(), Random(question.seed))
    except BadTrace as error:
        raise BadTrace(f"--sizes: {error}") from error
    except ValueError as error:
        raise BadOption(f"--sizes {question.sizes}: {error}; give a trace with requests") from error


def _about(sizes: Sizes) -> str:
    if isinstance(sizes, Lognormal):
        return f"{sizes.prompt:,.0f} + {sizes.output:,.0f} tokens in the mean"
    return "sizes of another trace"


def _shaped(shaping: Shaping) -> str:
    parts = [
        f", {shaping.speed:g} times as fast" if shaping.speed != 1 else "",
        f", {shaping.scale:g} times as many" if shaping.scale != 1 else "",
        f", the first {words.clock(shaping.duration)}" if shaping.duration is not None else "",
    ]
    return "".join(parts)


def _check_number(steps: Sequence[Step], shaping: Shaping) -> None:
    total = sum(step.seconds * step.rate for step in steps) * shaping.scale
    seconds = sum(step.seconds for step in steps) / shaping.speed
    expected = total * min(1.0, (shaping.duration or seconds) / seconds)
    if expected > MOST:
        told = f"these rates make {expected:,.0f} requests, more than the {MOST:,} that are simulated at most"
        raise BadOption(f"{told}; take a part of them by --scale {MOST / 10 / expected:.2g}, or --duration")


def survey(requests: Traffic, context: int, who: str) -> Survey:
    """See all requests once. Raises BadTrace where there are none, or they cannot be read."""
    count = prompt = output = beginning = full = busiest = minute = here = 0
    last = longest = 0.0
    for request in requests:
        count += 1
        longest = max(longest, request.time - last)
        last = request.time
        prompt += request.prompt
        output += request.output
        beginning += last < BEGINNING
        full += request.prompt + request.output >= context
        if (at := int(last / BUSY)) != minute:
            busiest, minute, here = max(busiest, here), at, 0
        here += 1
    if not count:
        raise BadTrace(f"{who}: no requests are left; choose more by --scale, --duration or another file")
    busiest = max(busiest, here)
    lasted = max(last, 1.0)
    return Survey(
        count,
        lasted,
        prompt / count,
        output / count,
        busiest / min(BUSY, lasted),
        beginning / min(BEGINNING, lasted),
        longest,
        full,
        tuple(islice(requests, FIRST)),
    )


def told(found: Survey) -> str:
    """The survey in words."""
    return (
        f"{found.count:,} in {words.clock(found.seconds)}, {words.rate(found.rate)} a second, up to "
        f"{words.rate(found.busiest)} in a minute; {found.prompt:,.0f} + {found.output:,.0f} tokens in the mean"
    )


def probe(first: Sequence[Request], rate: float, count: int, seed: int) -> Traffic:
    """So many requests as they came, one after the other, but at a steady rate; those that are few come again."""

    def draw() -> Iterator[Request]:
        for number, at in enumerate(arrivals([Step(count / rate, rate)], Random(f"{seed} probe"))):
            again, which = divmod(number, len(first))
            request = first[which]
            session = request.session + again * APART if request.session else 0
            yield request._replace(time=at, session=session)

    return Traffic(draw)
