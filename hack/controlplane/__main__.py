"""The bench for people: python -m controlplane build | up | shell | kubectl | down."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys

from controlplane.addresses import MAX_CLUSTERS
from controlplane.binaries import find_binaries, say_to_stderr
from controlplane.errors import BenchError
from controlplane.holder import Held, down, held, hold, up
from controlplane.namespace import join


def main() -> None:
    asked = _parse(sys.argv[1:])
    try:
        _obey(asked)
    except BenchError as error:
        sys.exit(f"controlplane: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _obey(asked: argparse.Namespace) -> None:
    match asked.verb:
        case "build":
            print(find_binaries(say_to_stderr).folder)
        case "up":
            _introduce(up(asked.clusters, say_to_stderr))
        case "shell":
            _become(asked.rest)
        case "kubectl":
            _become(["kubectl", *asked.rest])
        case "down":
            say_to_stderr("ended" if down() else "no clusters are running")
        case "hold":
            hold(asked.clusters)


def _become(command: list[str]) -> None:
    """Replace this process by a command, or else a shell, inside the namespace; start one cluster if none runs."""
    there = held() or up(1, say_to_stderr)
    environment = there.environment()
    if not command:
        _introduce(there)
        command = [os.environ.get("SHELL", "/bin/sh")]
    found = shutil.which(command[0], path=environment["PATH"])
    if found is None:
        raise BenchError(f"{shlex.join(command)}: there is no command {command[0]}")
    join(there.pid)
    os.execve(found, command, environment)


def _introduce(there: Held) -> None:
    say_to_stderr(f"clusters {', '.join(there.clusters)}: contexts of kubectl, the first is the default")
    say_to_stderr("`shell` opens a shell in which kubectl works, `down` ends them; see `python -m controlplane --help`")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m controlplane", description="A real Kubernetes without Docker, root or nodes."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("build", help="only make Kubernetes' binaries, and print their folder")
    holders = [verbs.add_parser("up", help="start clusters and keep them running"), verbs.add_parser("hold")]
    for holder in holders:  # the second, which `up` starts, is nobody's to call and so has no help
        holder.add_argument("--clusters", type=int, default=1, choices=range(1, MAX_CLUSTERS + 1), help="how many")
    verbs.add_parser("shell", help="open a shell among them, or run `-- COMMAND` there; starts one if none runs")
    verbs.add_parser("kubectl", help="run kubectl there")
    verbs.add_parser("down", help="end them")
    # what follows these two is another command's, options and all
    rest = arguments[1:] if arguments[:1] in (["shell"], ["kubectl"]) else []
    own = rest in (["-h"], ["--help"]) and arguments[:1] == ["shell"]
    asked = parser.parse_args(arguments if own else arguments[: len(arguments) - len(rest)])
    asked.rest = rest[1:] if rest[:1] == ["--"] else rest
    return asked


if __name__ == "__main__":
    main()
