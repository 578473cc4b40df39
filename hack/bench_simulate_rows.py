"""Simulated engines beside measured ones and beside sizing's predictions: the part `rows` of bench_simulate.py.

The measurements are those of bench_sizing.py: engines in a closed loop, so many requests at once at all times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from rich.console import Console
from rich.table import Table

from bench_sizing import installed
from bench_sizing_rows import Row, doubtful, read, sort_out
from inferops.core import latency, memory
from inferops.core.memory import usual_limits
from inferops.core.replica import Replica
from inferops.simulate.batching import Batch
from inferops.simulate.timing import iteration_time

ROUNDS = 3  # of each place in the loop; the first is not counted
MOST = 40_000_000  # tokens: a row of more would take minutes and tell no more


@dataclass(frozen=True, slots=True)
class Compared:
    """One measurement, what sizing predicts, and what the simulated engine did. TPOT in seconds."""

    row: Row
    predicted: float
    simulated: float
    predicted_rate: float  # tokens a second
    simulated_rate: float

    @property
    def measured_rate(self) -> float:
        """Tokens a second that follow from the measured times."""
        row = self.row
        return row.concurrency * row.output / (row.ttft + (row.output - 1) * row.tpot)


def show(console: Console) -> list[dict[str, float | str]]:
    """Print the tables and return their figures."""
    python = installed()
    package = next(python.parent.parent.glob("lib/python*/site-packages/aiconfigurator_core"))
    kept, _, _ = sort_out(package, read(package))
    sure = [(row, replica) for row, replica, _ in kept if not doubtful(row)]
    console.print(f"\nMeasured engines: {len(sure)} measurements, each simulated in a closed loop: mean error (median)")
    compared = [found for row, replica in sure if (found := compare(row, replica)) is not None]
    console.print(f"  {len(sure) - len(compared)} left out: what they ask for does not fit, by our reckoning")
    table = Table("error in %", "rows", *(name for name, _ in ERRORS), box=None)
    groups = [("all", compared)]
    for title, key in GROUPS:
        groups += [(f"{title} {each}", [c for c in compared if key(c.row) == each])
                   for each in sorted({key(c.row) for c in compared})]  # fmt: skip
    figures: list[dict[str, float | str]] = []
    for name, cases in groups:
        errors = [[100 * abs(error(case)) for case in cases] for _, error in ERRORS]
        table.add_row(name, str(len(cases)), *(f"{fmean(each):.1f} ({median(each):.1f})" for each in errors))
        means = {title: fmean(each) for (title, _), each in zip(ERRORS, errors, strict=True)}
        figures.append({"group": name, "rows": len(cases), **means})
    console.print(table)
    return figures


ERRORS: tuple[tuple[str, Callable[[Compared], float]], ...] = (
    ("TPOT: sim, measured", lambda case: case.simulated / case.row.tpot - 1),
    ("sizing, measured", lambda case: case.predicted / case.row.tpot - 1),
    ("sim, sizing", lambda case: case.simulated / case.predicted - 1),
    ("tokens/s: sim, measured", lambda case: case.simulated_rate / case.measured_rate - 1),
    ("sim, sizing ", lambda case: case.simulated_rate / case.predicted_rate - 1),
)
GROUPS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("on", lambda row: row.system),
    ("of", lambda row: row.engine),
    ("at once", lambda row: next(name for limit, name in SIZES if row.concurrency <= limit)),
)
SIZES: Sequence[tuple[float, str]] = ((8, "  1-8"), (32, " 9-32"), (128, "33-128"), (float("inf"), "above 128"))


def compare(row: Row, replica: Replica) -> Compared | None:
    """Simulate the loop of a row; None where it cannot be, or would take too long."""
    tokens = memory.kv_tokens(replica, row.prompt + row.output)
    if tokens < row.prompt + row.output or row.concurrency * (row.prompt + row.output) * ROUNDS > MOST:
        return None
    load = (replica, row.prompt, row.output, row.concurrency)
    tpot, rate = loop(row, replica, tokens)
    return Compared(row, latency.tpot(*load), tpot, latency.tokens_per_second(*load), rate)


def loop(row: Row, replica: Replica, kv_tokens: int) -> tuple[float, float]:
    """Mean TPOT and tokens a second of `concurrency` clients, each of which asks again when it is answered."""
    usual = usual_limits(replica.accelerator)
    batch = Batch(
        iteration_time(replica),
        kv_tokens,
        max_num_seqs=max(row.concurrency, usual.sequences),
        token_budget=max(usual.tokens, row.concurrency, usual.sequences),
    )
    for begun in range(row.concurrency):  # spread over the first round, as after a while under load
        first = batch.made(row.prompt, max(1, row.output * (begun + 1) // row.concurrency), 0.0)
        batch.put(first, 0.0)
    ended, counted, seconds, since = 0, 0, 0.0, 0.0
    while ended < ROUNDS * row.concurrency:
        now = batch.due
        for seq in batch.advance():
            ended += 1
            if ended == row.concurrency:
                since = now
            elif ended > row.concurrency and seq.first_token is not None and seq.output > 1:
                seconds += (now - seq.first_token) / (seq.output - 1)
                counted += 1
            batch.put(batch.made(row.prompt, row.output, now), now)
    rate = (ROUNDS - 1) * row.concurrency * row.output / (batch.now - since)
    return seconds / max(1, counted), rate
