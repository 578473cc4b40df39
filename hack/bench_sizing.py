"""`make bench-sizing`: how far predicted times between tokens are from measured ones, beside the peer's predictions.

Installs the peer, NVIDIA's aiconfigurator-core, with its table of measurements into an environment of its own under
the user's cache, and nothing of it anywhere else. Prints figures; judges nothing. `--fit` prints the constants that
fit best.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench_sizing_fit import fit
from bench_sizing_rows import Row, doubtful, families, read, sort_out
from inferops.core import latency
from inferops.core.calibration import CALIBRATED, IDEAL, Calibration, Work
from inferops.core.replica import Replica

console = Console(highlight=False, soft_wrap=True, width=118)
PEER = "aiconfigurator-core==0.12.0"
MEASURED_ONLY = "of these by the peer's measured tables"


@dataclass(frozen=True, slots=True)
class Judged:
    """One measurement and what was predicted for it. Times in seconds."""

    row: Row
    work: Work
    ttft: float  # predicted by us
    held_out: float  # predicted TPOT with constants fitted without the row's family
    peer: float | None  # predicted TPOT by the peer; None: it predicts none
    peer_ttft: float | None
    measured: bool  # whether the peer did so from its measured tables alone

    @property
    def in_sample(self) -> float:
        """Predicted TPOT with the constants as they are."""
        return CALIBRATED.seconds(self.work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit the constants to all measurements and print them")
    arguments = parser.parse_args()
    python = installed()
    package = next(python.parent.parent.glob("lib/python*/site-packages/aiconfigurator_core"))
    rows = read(package)
    kept, left, reasons = sort_out(package, rows)
    console.print(f"{len(rows)} measurements of engines that prefill and decode on the same GPUs")
    for reason in reasons:
        console.print(f"  {left[reason]:5} left out: {reason}")
    if arguments.fit:
        show_constants(fit([(_work(*case), case[0].tpot) for case in kept if not doubtful(case[0])]))
        return
    judged = judge(kept, ask_peer(python, [(row, replica) for row, replica, _ in kept]))
    show(judged)


def installed() -> Path:
    """The Python of the peer's environment, made if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferops" / "bench-sizing"
    folder = cache / PEER.replace("==", "-")
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        console.print(f"==> installing {PEER} into {folder} (some 600 MB, once)")
        venv.create(folder, with_pip=True, clear=True)
        if subprocess.run([python, "-m", "pip", "install", "--disable-pip-version-check", PEER]).returncode:
            sys.exit(f"{PEER} cannot be installed: pip says why above. The measurements come with it.")
        ready.touch()
    return python


def ask_peer(python: Path, rows: Sequence[tuple[Row, Replica]]) -> dict[str, dict[str, Any]]:
    """The peer's answers by the rows' ids. It loads its tables by accelerator and engine: those come in turn."""
    console.print(f"==> asking {PEER} about {len(rows)} of them (about a minute)")
    script = Path(__file__).with_name("bench_sizing_peer.py")
    cases = "".join(
        json.dumps(_case(*pair)) + "\n" for pair in sorted(rows, key=lambda pair: (pair[0].system, pair[0].engine))
    )
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", ""), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([python, script], input=cases, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return {answer["id"]: answer for answer in map(json.loads, run.stdout.splitlines())}


def judge(kept: list[tuple[Row, Replica, float]], answers: dict[str, dict[str, Any]]) -> list[Judged]:
    """Predictions for every row, each family's by constants that were fitted to the other families."""
    works = {row.id: _work(row, replica, running) for row, replica, running in kept}
    judged = []
    for family in families([row for row, _, _ in kept]):
        console.print(f"==> fitting the constants without {family}")
        others = [row for row, _, _ in kept if row.family != family and not doubtful(row)]
        constants = fit([(works[row.id], row.tpot) for row in others])
        for row, replica, running in kept:
            if row.family == family:
                answer = answers[row.id]
                judged.append(
                    Judged(
                        row=row,
                        work=works[row.id],
                        ttft=latency.ttft(replica, row.prompt, row.output, running),
                        held_out=constants.seconds(works[row.id]),
                        peer=answer.get("tpot"),
                        peer_ttft=answer.get("ttft"),
                        measured=bool(answer.get("measured")),
                    )
                )
    return judged


def show(judged: Sequence[Judged]) -> None:
    """The tables."""
    sure = [case for case in judged if not doubtful(case.row)]
    table = Table("", "rows", "held out", "(median)", "in sample", "(median)", "peer", "(median)", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    add(table, "all that are sure", sure)
    add(table, MEASURED_ONLY, [case for case in sure if case.measured])
    for reason in sorted({doubtful(case.row) for case in judged} - {""}):
        add(table, reason, [case for case in judged if doubtful(case.row) == reason])
    add(table, "all", judged)
    for title, key in GROUPS:
        table.add_section()
        for value in sorted({key(case.row) for case in sure}):
            add(table, f"{title} {value}", [case for case in sure if key(case.row) == value])
    console.print(f"\nMean absolute error of TPOT in per cent; peer: {PEER}")
    console.print(table)
    ideal = _errors((IDEAL.seconds(case.work), case.row.tpot) for case in sure)
    console.print(f"the data sheet alone, without constants: {fmean(ideal):.1f} (median {median(ideal):.1f})")
    first = _errors((case.ttft, case.row.ttft) for case in sure)
    theirs = _errors((case.peer_ttft, case.row.ttft) for case in sure if case.peer_ttft is not None)
    console.print(f"TTFT: {fmean(first):.0f} (median {median(first):.0f}); {_mean_and_median(theirs)}")


GROUPS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("model", lambda row: row.family),
    ("accelerator", lambda row: row.system),
    ("engine", lambda row: row.engine),
)


def add(table: Table, name: str, cases: Sequence[Judged]) -> None:
    """A line of the table. The peer's errors are over the same rows, or says over how many."""
    held = _errors((case.held_out, case.row.tpot) for case in cases)
    own = _errors((case.in_sample, case.row.tpot) for case in cases)
    peer = _errors((case.peer, case.row.tpot) for case in cases if case.peer is not None)
    figures = [f"{figure(errors):.1f}" for errors in (held, own) for figure in (fmean, median)]
    theirs = [f"{fmean(peer):.1f}", f"{median(peer):.1f}"] if peer else ["-", "-"]
    count = str(len(held)) if len(peer) == len(held) else f"{len(held)} (peer {len(peer)})"
    table.add_row(name, count, *figures, *theirs)


def show_constants(constants: Calibration) -> None:
    """The fitted constants beside those in use."""
    for field in fields(constants):
        fitted, used = getattr(constants, field.name), getattr(CALIBRATED, field.name)
        console.print(f"  {field.name:22} {fitted:.3g}  (in use: {used:.3g})")


def _work(row: Row, replica: Replica, running: float) -> Work:
    return latency.token_work(replica, row.prompt, row.output, running)


def _mean_and_median(errors: Sequence[float]) -> str:
    return f"peer {fmean(errors):.0f} (median {median(errors):.0f})" if errors else "peer: none"


def _errors(pairs: Iterable[tuple[float, float]]) -> list[float]:
    return [100 * abs(predicted / measured - 1) for predicted, measured in pairs]


def _case(row: Row, replica: Replica) -> dict[str, Any]:
    """The row as the peer's script takes it. Its batch is that of one copy of the attention.

    Formats are left to the peer where the table names one in which the accelerator cannot compute.
    """
    named = row.moe != "nvfp4" or replica.accelerator.tflops.fp4 is not None
    split = max(1, row.width // row.expert_parallel)
    return {
        "id": row.id,
        "model": row.shape,
        "system": row.system,
        "engine": row.engine,
        "gemm": row.gemm if named else "",
        "moe": row.moe if named else "",
        "widths": [row.tensor_parallel, row.attention_parallel, split, row.expert_parallel],
        "prompt": row.prompt,
        "output": row.output,
        "batch": max(1, row.concurrency // row.attention_parallel),
    }


if __name__ == "__main__":
    main()
