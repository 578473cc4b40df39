"""Fake GPU nodes that play kubelet against a real API server: see `NodeAgent`, or `python -m nodeagent --help`."""

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
