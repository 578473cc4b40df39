"""Rollouts: a pure state machine that brings up a new revision, gives it requests step by step, and takes them back."""

from __future__ import annotations

from inferops.core.rollout.machine import step
from inferops.core.rollout.view import GateWanted, Outcome, Splitter, View, gate_name

__all__ = ["GateWanted", "Outcome", "Splitter", "View", "gate_name", "step"]
