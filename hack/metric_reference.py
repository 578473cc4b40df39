"""Writes docs/reference/metrics.md from the metrics that the code tells, or checks that it is up to date.

python hack/metric_reference.py            writes it
python hack/metric_reference.py --check    writes nothing; exits 1 where it differs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from exposed import Exposed, exposed

ROOT = Path(__file__).resolve().parent.parent
PATH = Path("docs/reference/metrics.md")
HEAD = """# Metrics

<!-- Generated from the code by `python hack/metric_reference.py`. Do not edit. -->

What the operator and the gateway tell at `/metrics`. [Observability](../observability.md) says how they are scraped and
what dashboards and alerts make of them. Names are as in queries, of counters with `_total`; histograms have `_bucket`,
`_sum` and `_count`, summaries the last two.
"""
PARTS: tuple[tuple[str, Callable[[Exposed], bool]], ...] = (
    (
        "Services and clusters, told by the operator that leads",
        lambda each: each.name.startswith(("inferops_service_", "inferops_cluster_")) and each.kind == "gauge",
    ),
    ("The operator", lambda each: each.who == "operator"),
    ("The gateway", lambda each: each.who == "gateway"),
)


def reference() -> str:
    """The page."""
    left, lines = [each for each in exposed() if not each.name.startswith("process_")], [HEAD]
    for title, belongs in PARTS:
        own = [each for each in left if belongs(each)]
        left = [each for each in left if each not in own]
        lines += [f"## {title}", "", "| metric | kind | labels | what it tells |", "|---|---|---|---|"]
        lines += [*_rows(own), ""]
    lines.append("Both tell their processes as well: `process_resident_memory_bytes`, `process_cpu_seconds_total`, …")
    return "\n".join([*lines, ""])


def _rows(found: list[Exposed]) -> Iterator[str]:
    for each in found:
        name = f"{each.name}_total" if each.kind == "counter" else each.name
        labels = ", ".join(f"`{label}`" for label in each.labels)
        yield f"| `{name}` | {each.kind} | {labels} | {each.help} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where it differs")
    if not parser.parse_args().check:
        (ROOT / PATH).write_text(reference())
        return 0
    if (ROOT / PATH).is_file() and (ROOT / PATH).read_text() == reference():
        return 0
    print(f"{PATH} differs from the code; run: python hack/metric_reference.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
