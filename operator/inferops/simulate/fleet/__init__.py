"""A simulated service in virtual time, request by request: its gateway, its replicas, its clusters, under a rule."""

from inferops.simulate.fleet.world import run

__all__ = ["run"]
