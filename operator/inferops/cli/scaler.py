"""`inferops render FILE --scaler hpa|keda`: what scales services of mode external, for users to apply beside FILE."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from inferops.api.resources import InferenceService
from inferops.cli.render import BadInput, Given, observed, read
from inferops.core import choices, validity
from inferops.core.observation import Observation
from inferops.core.sizing import Option
from inferops.render.scaler import Kind, Target, lacking, render_hpa, render_scaled_object
from inferops.runtimes import ENGINES
from inferops.runtimes.base import Metrics

Counted = Literal["gateway", "engine"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to render."""

    kind: Kind
    prometheus: str | None = None  # URL by which KEDA reaches it
    counted: Counted | None = None  # who counts requests; None: the gateway, where requests pass it


def render_scalers(file: Path, namespace: str, wish: Wish) -> int:
    """Print a scaler for every service of mode external in `file`. Returns 0, or 1 with the errors on stderr."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        objects = list(scalers(text, namespace, wish))
    except (OSError, BadInput, yaml.YAMLError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1
    for each in objects:
        if each["kind"] == "HorizontalPodAutoscaler":
            name, where = each["metadata"]["name"], each["metadata"]["namespace"]
            print(
                f"{name}: an HPA rests until there is a first number of replicas; give one, once: "
                f"kubectl scale infs/{name} -n {where} --replicas={each['spec']['minReplicas']}",
                file=sys.stderr,
            )
    print(yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True), end="")
    return 0


def scalers(text: str, namespace: str, wish: Wish) -> Iterator[dict[str, Any]]:
    """The scalers of all services of mode external in a YAML text; without any, of what stands in the way.

    Raises BadInput that names resource and field.
    """
    services, given = read(text, namespace)
    external = [service for service in services if service.spec.scaling.mode == "external"]
    for service in external or services:
        if faults := list(lacking(service, wish.kind)):
            raise BadInput(f"{service.metadata.name}: {'; '.join(faults)}")
        target = _target(service, given, wish)
        if wish.kind == "hpa":
            yield render_hpa(service, target)
        else:
            yield render_scaled_object(service, target, _prometheus(wish))


def _prometheus(wish: Wish) -> str:
    if wish.prometheus is None:
        raise BadInput("--prometheus: KEDA asks one; give its URL, for example http://prometheus.monitoring.svc:9090")
    if "@" in urlsplit(wish.prometheus).netloc:
        raise BadInput("--prometheus: whoever reads the object would read the login; use a TriggerAuthentication")
    return wish.prometheus


def _target(service: InferenceService, given: Given, wish: Wish) -> Target:
    seen, traffic = observed(service, given), service.spec.traffic
    if obstacle := validity.obstacle(seen):
        raise BadInput(f"{service.metadata.name}: {obstacle.message}")
    passed_by = traffic.gateway_ref is not None or traffic.endpoint_picker is not None
    by_engine = wish.counted == "engine" or (wish.counted is None and passed_by)
    return Target(_each(seen), _metrics(seen) if by_engine else None)


def _each(seen: Observation) -> int:
    """Requests at once that are planned for one replica: as many as keep the SLO, and no more than it is sent."""
    traffic, choice = seen.service.spec.traffic, choices.choices(seen)[0]
    found = choices.estimate(seen, choice)
    if isinstance(found, Option):
        return min(found.concurrency, traffic.max_concurrency or found.concurrency)
    if traffic.max_concurrency is not None:
        return traffic.max_concurrency
    why = seen.unsized or (found.reason if found is not None else "nothing is known of the model")
    raise BadInput(
        f"{seen.service.metadata.name}: spec.traffic.maxConcurrency: say how many requests at once a replica is to "
        f"get, for example 64; sizing cannot tell: {why}"
    )


def _metrics(seen: Observation) -> Metrics:
    runtime = seen.runtime
    assert runtime is not None, "the service is valid"
    metrics = ENGINES[runtime.engine].metrics
    if metrics.running is None:
        raise BadInput(
            f"{seen.service.metadata.name}: spec.runtime.name: {runtime.engine} does not tell how many requests it "
            "works on; let them pass the built-in gateway, without spec.traffic.gatewayRef and endpointPicker, and "
            "take --counted gateway"
        )
    return metrics
