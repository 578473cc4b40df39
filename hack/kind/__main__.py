"""`make e2e-kind`: image, chart, sample, requests, a canary, a rollback and the end, on a kind cluster of its own.

Needs docker, kind, kubectl and helm, and some ten minutes. It is run by .github/workflows/e2e-kind.yaml; where there is
no docker, its steps are tested against commands that are played (tests/unit/hack/test_kind.py), and nothing more.
"""

from __future__ import annotations

import sys

from kind.steps import Failed, Kind, Real


def main() -> int:
    try:
        Kind(Real()).run()
    except Failed as failed:
        print(f"e2e-kind: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
