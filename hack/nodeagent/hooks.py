"""Plays a container's preStop hook: sleeps and requests for real; other commands have nothing to run in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nodeagent.client import Json
from nodeagent.probes import Prober

if TYPE_CHECKING:
    from nodeagent.lifecycle import Home

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT = 30.0  # seconds


async def pre_stop(home: Home, spec: Json) -> None:
    """Do what the preStop hook of a container says, and return when it is done."""
    hook: Json | None = (spec.get("lifecycle") or {}).get("preStop")
    if not hook:
        return
    if (seconds := sleeps(hook)) is not None:
        await home.kubelet.pace.sleep(seconds)
    elif "httpGet" in hook:
        prober = Prober(home.kubelet.session, home.kubelet.pace, home.address, named_ports(spec))
        good, why = await prober.check(hook, REQUEST_TIMEOUT)
        if not good:
            home.tell("Warning", "FailedPreStopHook", f"PreStopHook failed: {why}")
    else:
        logger.info("the preStop hook of container %s is not played: %s", spec["name"], hook)


def sleeps(hook: Json) -> float | None:
    """Seconds of a hook that only sleeps, as an action or as a command; None for another."""
    if "sleep" in hook:
        return float(hook["sleep"]["seconds"])
    words = " ".join((hook.get("exec") or {}).get("command") or []).split()
    if len(words) >= 2 and words[-2].rsplit("/", 1)[-1] == "sleep":
        return float(words[-1].rstrip("s"))
    return None


def named_ports(spec: Json) -> dict[str, int]:
    """The container's ports by name."""
    return {port["name"]: port["containerPort"] for port in spec.get("ports") or [] if "name" in port}
