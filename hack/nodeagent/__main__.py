"""Runs a node agent as a process of its own, until SIGTERM or SIGINT. Between SIGUSR1 and SIGUSR2 its engines keep
their metrics back."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys

from nodeagent.agent import NodeAgent
from nodeagent.client import ApiError
from nodeagent.engine import METRICS
from nodeagent.profiles import HOW, parse_nodes


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="nodeagent", description="Fake GPU nodes that play kubelet.")
    parser.add_argument("--kubeconfig", required=True, help="of the cluster to join")
    parser.add_argument("--context", help="of the kubeconfig; its current one when left out")
    parser.add_argument("--nodes", required=True, help=f"comma-separated; {HOW}")
    parser.add_argument("--mode", choices=("serve", "report"), default="serve", help="run engines, or only say so")
    parser.add_argument("--load-seconds", type=float, help="how long engines load; left out: as their model says")
    parser.add_argument("--ready-delay", type=float, default=0.0, help="seconds until a pod is ready, in mode report")
    parser.add_argument("--time-scale", type=float, default=1.0, help="how much faster than real time waits go by")
    parser.add_argument("--engine-time-scale", type=float, help="the same for engines; left out: --time-scale")
    parser.add_argument("--cluster-range", help="the cluster's /16; left out: the one around the API server")
    parser.add_argument("--name-prefix", default="", help="put before the names of the nodes")
    parser.add_argument("--adopt", action="store_true", help="take over nodes that a killed agent left behind")
    parser.add_argument("--verbose", action="store_true", help="say more")
    return parser


async def serve(options: argparse.Namespace) -> None:
    """Run the agent until a signal comes; then remove its nodes."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, METRICS.away)
    loop.add_signal_handler(signal.SIGUSR2, METRICS.back)
    agent = NodeAgent(
        options.kubeconfig,
        parse_nodes(options.nodes),
        mode=options.mode,
        load_seconds=options.load_seconds,
        time_scale=options.time_scale,
        engine_time_scale=options.engine_time_scale,
        ready_delay=options.ready_delay,
        cluster_range=options.cluster_range,
        name_prefix=options.name_prefix,
        adopt=options.adopt,
        context=options.context,
    )
    async with agent:
        print(f"nodes: {', '.join(agent.nodes)}", flush=True)
        await stopped.wait()


def main() -> int:
    """Run as the command line says. Returns the exit code: 0, or 2 for what cannot be done as asked."""
    options = arguments().parse_args()
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(name)s: %(message)s")
    try:
        asyncio.run(serve(options))
    except (ValueError, OSError, ApiError) as error:
        print(f"nodeagent: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
