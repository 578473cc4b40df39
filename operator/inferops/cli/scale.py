"""`inferops scale NAME`: how many replicas, by hand or between bounds. Nonsense is refused before it is written."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferops.api.resources import InferenceService
from inferops.cli import money
from inferops.cli.access import Refusal, Unreachable, UserClient, Where, checked, missing, opened, parsed
from inferops.cli.answering import answered
from inferops.cli.lines import clean, program
from inferops.cli.owners import undone_by
from inferops.core import fleet
from inferops.core.clusters import naming
from inferops.kube.kinds import INFERENCE_SERVICE
from inferops.kube.owned import Object


class Refused(Refusal):
    """Something that makes no sense: why, and what would."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line. None: not given."""

    replicas: int | None = None
    min: int | None = None
    max: int | None = None
    auto: bool = False
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written, and what comes of it."""

    scaling: Mapping[str, int | None]  # fields of spec.scaling; None: taken away
    will: str
    warnings: tuple[str, ...] = ()

    @property
    def by_subresource(self) -> bool:
        """Whether it goes through the scale subresource, for which some have rights that may not edit the rest."""
        return set(self.scaling) == {"replicas"} and self.scaling["replicas"] is not None


def plan(service: InferenceService, raw: Object, asked: Asked) -> Plan:
    """What `asked` writes now; nothing where it is so already. Raises Refused."""
    _sensible(service, asked)
    scaling = service.spec.scaling
    wished: dict[str, int | None] = {}
    if asked.replicas is not None or asked.hold:
        wished["replicas"] = _number(service, asked)
    elif asked.auto:
        wished["replicas"] = None
    wished |= {"minReplicas": asked.min} if asked.min is not None else {}
    wished |= {"maxReplicas": asked.max} if asked.max is not None else {}
    now = {"replicas": scaling.replicas, "minReplicas": scaling.min_replicas, "maxReplicas": scaling.max_replicas}
    news = {field: value for field, value in wished.items() if now[field] != value}
    if not news:
        return Plan({}, "nothing to change: it is so already")
    undone = [undone_by(raw, ("spec", "scaling", field)) for field in news]
    return Plan(news, _will(service, news), tuple(each for each in (*undone, *_doubts(service, news)) if each))


def _sensible(service: InferenceService, asked: Asked) -> None:
    """Raises Refused where it is not."""
    by_number = [asked.replicas is not None, asked.hold, asked.auto]
    bounds = asked.min is not None or asked.max is not None
    if not any(by_number) and not bounds:
        raise Refused(f"give --replicas, --min, --max, --auto or --hold; now: {state(service)}")
    if sum(by_number) > 1:
        raise Refused("--replicas, --hold and --auto exclude each other: a number, the number there is, or scaling's")
    meta, scaling = service.metadata, service.spec.scaling
    if meta.deletion_timestamp is not None:
        raise Refused("it is being deleted")
    if naming.HUB in meta.labels:
        parent = naming.parent_name(meta.name, meta.annotations) or "the service there"
        raise Refused(f"a hub wrote it and would set it back: scale {parent} on the hub")
    low = scaling.min_replicas if asked.min is None else asked.min
    high = scaling.max_replicas if asked.max is None else asked.max
    if high is not None and low > high:
        remedy = f"--max {low}" if asked.max is None else f"--min {high}"
        raise Refused(f"the minimum, {low}, would be above the maximum, {high}: add {remedy}")
    if high is not None and (wide := [each for each in scaling.schedule if each.min_replicas > high]):
        name, least = wide[0].name or wide[0].cron, wide[0].min_replicas
        raise Refused(f"the window {name} of spec.scaling.schedule wants at least {least}: give --max {least} or more")
    number = asked.replicas if asked.replicas is not None else None if asked.auto else scaling.replicas
    if number is not None and high is not None and number > high:
        remedy = "give --auto with it" if asked.replicas is None else f"add --max {number}"
        raise Refused(f"{number} replicas by hand would be above the maximum, {high}: {remedy}")


def _number(service: InferenceService, asked: Asked) -> int:
    if asked.replicas is not None:
        return asked.replicas
    wanted = service.status.desired_replicas
    if wanted is None:
        raise Refused("--hold: scaling has decided nothing yet that could be held; give --replicas")
    return wanted


def _will(service: InferenceService, news: Mapping[str, int | None]) -> str:
    """What happens."""
    scaling, wanted = service.spec.scaling, service.status.desired_replicas
    parts = []
    if "replicas" in news and (number := news["replicas"]) is not None:
        cost = _cost(service, number)
        if number == 0:
            parts.append("it stops: no replica runs, and requests do not wake it until --auto or --replicas")
        else:
            parts.append(f"{number} replicas{f' in place of {wanted}' if wanted is not None else ''}{cost}")
            parts.append("no other number is chosen until --auto")
    elif "replicas" in news:
        parts.append(f"scaling decides again: mode {scaling.mode}")
    if "minReplicas" in news or "maxReplicas" in news:
        least = news.get("minReplicas", scaling.min_replicas)
        changed = scaling.model_copy(
            update={"min_replicas": least, "max_replicas": news.get("maxReplicas", scaling.max_replicas)}
        )
        most = fleet.highest(changed)
        parts.append(f"between {least} and {most} replicas{_cost(service, most, 'at most ')}")
    return ", ".join(parts)


def _cost(service: InferenceService, replicas: int, most: str = "") -> str:
    """What so many cost, where the price is known."""
    stable = next((each for each in service.status.revisions if each.role == "Stable"), None)
    each = money.number(stable.usd_per_hour) if stable is not None else None
    return f" ({most}{each * replicas:.2f} USD/h)" if each is not None else ""


def _doubts(service: InferenceService, news: Mapping[str, int | None]) -> list[str]:
    """Why it may not come to that."""
    scaling, status = service.spec.scaling, service.status
    found = []
    if scaling.mode == "external" and news.get("replicas") is not None:
        found.append("spec.scaling.mode is external: an HPA or KEDA that scales it sets another number soon")
    pinned = scaling.replicas is not None and "replicas" not in news
    if pinned:
        found.append(f"spec.scaling.replicas is {scaling.replicas}: bounds change nothing until --auto")
    if not pinned and scaling.mode == "fixed" and "maxReplicas" in news:
        found.append("spec.scaling.mode is fixed: the maximum changes nothing")
    if status.rollout.phase not in ("Idle", "Retaining", "Succeeded", "RolledBack"):
        found.append(f"a rollout is under way ({status.rollout.phase}): both revisions follow as it needs them")
    low = news.get("minReplicas")
    if low == 0 and scaling.scale_to_zero_after is None:
        found.append("at zero only where spec.scaling.scaleToZeroAfter says after how long without requests")
    return found


def state(service: InferenceService) -> str:
    """How it stands, in few words."""
    scaling, status = service.spec.scaling, service.status
    wanted = "not decided yet" if status.desired_replicas is None else f"{status.desired_replicas} wanted"
    by_hand = f", by hand {scaling.replicas}" if scaling.replicas is not None else ""
    bounds = f"{scaling.min_replicas} to {fleet.highest(scaling)}"
    return f"{status.ready_replicas} ready, {wanted}, mode {scaling.mode}, bounds {bounds}{by_hand}"


def scale(name: str, where: Where, asked: Asked, *, dry_run: bool) -> int:
    """Write it. Returns 0, or 2 where it is refused or cannot be written."""
    return answered(_scale(name, where, asked, dry_run), where, name)


async def _scale(name: str, where: Where, asked: Asked, dry_run: bool) -> int:
    async with opened(where) as client:
        checked(where.namespace, name)
        raw = await client.get(INFERENCE_SERVICE, where.namespace, name)
        if raw is None:
            raise Unreachable(missing(where.namespace, name))
        found = plan(parsed(raw), raw, asked)
        await write(client, where, name, found, raw, dry_run=dry_run)
    for each in found.warnings:
        print(f"note: {clean(each)}", file=sys.stderr)
    done = "unchanged" if not found.scaling else "would be scaled" if dry_run else "scaled"
    print(f"{done}: {found.will}")
    if found.scaling and not dry_run:
        print(f"follow it: {program()} status {name} -n {where.namespace}")
    return 0


async def write(client: UserClient, where: Where, name: str, found: Plan, raw: Object, *, dry_run: bool) -> None:
    """Write a plan, by the narrowest way. Raises KubeError."""
    if not found.scaling:
        return
    at = where.namespace, name
    if found.by_subresource:
        body: dict[str, Any] = {"spec": dict(found.scaling)}
        await client.patch(at, body, subresource="scale", dry_run=dry_run)
        return
    body = {"metadata": {"uid": raw["metadata"].get("uid")}, "spec": {"scaling": dict(found.scaling)}}
    await client.patch(at, body, dry_run=dry_run)
