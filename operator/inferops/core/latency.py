"""What clients see of a replica under load: time to the first token, time between tokens, tokens a second.

The load is `concurrency` requests that run at all times, each of `prompt` tokens in and `output` tokens out. For each
token that a sequence is given, prompt / output tokens of other sequences' prompts have to be worked off in its steps.
"""

from __future__ import annotations

from inferops.core.calibration import CALIBRATED, Calibration, Work
from inferops.core.memory import usual_limits
from inferops.core.replica import Replica
from inferops.core.roofline import Step, step_seconds, work_of

# Of the time to the first token, by the measurements of the calibration, which spread widely here.
REQUEST_SECONDS = 0.05  # reading and tokenizing a request, admitting it, sending the first token
TOGETHER = 0.1  # of the other requests, those whose prompts come at the same time: who ends together comes together


def tpot(
    replica: Replica, prompt: int, output: int, concurrency: float, calibration: Calibration = CALIBRATED
) -> float:
    """Mean seconds from one token of a sequence to its next."""
    return calibration.seconds(token_work(replica, prompt, output, concurrency))


def ttft(
    replica: Replica, prompt: int, output: int, concurrency: float, calibration: Calibration = CALIBRATED
) -> float:
    """Mean seconds from a request's arrival to its first token: the step that runs, prompts ahead of it, its own."""
    running = _running(replica, concurrency)
    chunk = min(prompt, usual_limits(replica.accelerator).tokens)
    arriving = _arriving(prompt, output, running, concurrency)
    step = Step(running - 1, prompt + output / 2, prefill=max(chunk, arriving), prompt=prompt)
    own = prompt / chunk * step_seconds(replica, step, calibration)
    ahead = TOGETHER * max(0.0, concurrency - 1)
    return REQUEST_SECONDS + tpot(replica, prompt, output, concurrency, calibration) + own * (1 + ahead)


def tokens_per_second(
    replica: Replica, prompt: int, output: int, concurrency: float, calibration: Calibration = CALIBRATED
) -> float:
    """Tokens a second that all sequences are given together."""
    load = (replica, prompt, output, concurrency)
    return concurrency * output / (ttft(*load, calibration) + (output - 1) * tpot(*load, calibration))


def concurrency_within(
    replica: Replica,
    prompt: int,
    output: int,
    *,
    tpot: float | None,
    ttft: float | None,
    most: int,
    calibration: Calibration = CALIBRATED,
) -> int:
    """The largest concurrency, at most `most`, with the mean times within their limits in seconds; None: no limit.

    0 where not even a single request is.
    """
    low, high = 0, max(0, most)
    while low < high:  # both times grow with concurrency
        middle = (low + high + 1) // 2
        late = tpot is not None and _tpot(replica, prompt, output, middle, calibration) > tpot
        late = late or (ttft is not None and _ttft(replica, prompt, output, middle, calibration) > ttft)
        low, high = (low, middle - 1) if late else (middle, high)
    return low


_tpot, _ttft = tpot, ttft  # under which `concurrency_within`, whose limits are named so, finds them


def token_work(replica: Replica, prompt: int, output: int, concurrency: float) -> Work:
    """The mean work of the steps between two tokens of a sequence.

    Prompts come in chunks of what an engine takes into one step: some steps carry a whole one, the others none.
    Pipeline stages work at the same time, each on its part of the sequences.
    """
    running = _running(replica, concurrency)
    context = prompt + output / 2
    arriving = _arriving(prompt, output, running, concurrency)
    chunk = max(arriving, min(prompt, usual_limits(replica.accelerator).tokens))
    alone = work_of(replica, Step(running, context))
    beside = work_of(replica, Step(running, context, prefill=chunk, prompt=prompt))
    return alone.mixed(beside, arriving / chunk)


def _running(replica: Replica, concurrency: float) -> float:
    """Sequences of one step."""
    return max(1.0, concurrency / replica.pipeline_parallel)


def _arriving(prompt: int, output: int, running: float, concurrency: float) -> float:
    """Tokens of other sequences' prompts that a step has to take in the mean."""
    return running * (1 - 1 / max(1.0, concurrency)) * prompt / output
