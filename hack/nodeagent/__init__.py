"""Fake GPU nodes that play kubelet against a real API server: see `NodeAgent`, or `python -m nodeagent --help`.

    async with NodeAgent(cluster.kubeconfig, ["2x8xnvidia-h100-80gb", "4xnvidia-l4"], time_scale=10) as agent:
        agent.pods["chat/llama-5d9-x2x"].crash(code=137)
        await agent.node("h100-80gb-0").lose()

Other processes, and people, order faults by annotations of a pod or a pod template: `bench.inferops.dev/crash` with
any value crashes the first container once a value (`1`, then `2`; `3:137` with that exit code; `always` at each
start), `bench.inferops.dev/hang` hangs it, and `bench.inferops.dev/load-seconds` says how long its engine loads. What
is wrong with all pods of a revision stands in its environment: `inferops.simulate.server.faults`.
"""

from nodeagent.agent import NodeAgent
from nodeagent.node import Node, Pod
from nodeagent.process import Command, Idle, Launcher, Process, idle
from nodeagent.profiles import NodeProfile, named, parse_nodes

__all__ = [
    "Command",
    "Idle",
    "Launcher",
    "Node",
    "NodeAgent",
    "NodeProfile",
    "Pod",
    "Process",
    "idle",
    "named",
    "parse_nodes",
]
