"""Something that happened to a service, for people: it becomes a Kubernetes Event and, of rollouts, a notification."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for people."""

    warning: bool
    reason: str
    message: str
    rollout: bool = False  # whether it is a rollout's, and is sent to those who want to be notified
