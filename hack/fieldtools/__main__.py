"""python -m fieldtools build [NAME…]: compiles the tools, or these, and prints their paths."""

from __future__ import annotations

import argparse
import sys

from controlplane import BenchError
from fieldtools.tools import TOOLS, build, find


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fieldtools", description="The tools by which others check us.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    builder = verbs.add_parser("build", help="compile what is not in the cache yet, and print the paths")
    builder.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TOOLS)}; left out: all")
    asked = parser.parse_args()
    if unknown := set(asked.names) - TOOLS.keys():
        parser.error(f"no tool {', '.join(sorted(unknown))}: there are {', '.join(TOOLS)}")
    names = asked.names or list(TOOLS)
    try:
        build(names, lambda line: print(f"fieldtools: {line}", file=sys.stderr, flush=True))
    except BenchError as error:
        sys.exit(f"fieldtools: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    for name in names:
        print(find(name))


if __name__ == "__main__":
    main()
