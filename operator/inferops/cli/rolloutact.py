"""`inferops rollout promote|pause|resume|abort|retry`: what each would do now, and the annotation that asks for it.

What has nothing to act on is refused before anything is written. The value names the revision that is meant, so that
it does nothing where another one has taken its place by the time the operator reads it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import string
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from inferops.api.resources import InferenceService
from inferops.api.rollout import ACTION
from inferops.api.rolloutstatus import UNDER_WAY
from inferops.cli import rolloutstate as state
from inferops.cli.access import Reader, Refusal, Where, Writer, opened, read_service
from inferops.cli.answering import answered
from inferops.cli.lines import clean, program
from inferops.cli.rolloutstate import Code
from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_SERVICE

Action = Literal["promote", "pause", "resume", "abort", "retry"]
ACTIONS: tuple[Action, ...] = get_args(Action)
HASH = re.compile("[0-9a-z]{1,16}")
DIGITS = string.digits + string.ascii_lowercase
EVERY = 0.5  # seconds between two looks


class Refused(Refusal):
    """An action that has nothing to act on."""


@dataclass(frozen=True, slots=True)
class Intent:
    """An action on a revision, and what it will do, for people."""

    action: Action
    revision: str
    will: str
    bake: bool = False  # whether it cuts short how long a wave of clusters is watched


def intent(action: Action, service: InferenceService, asked: str = "") -> Intent:
    """What `action` would act on now. `asked` is the revision that is meant; empty: the one there is.

    Raises Refused where there is nothing, or it is another revision.
    """
    if asked and HASH.fullmatch(asked) is None:
        raise Refused(
            f"--revision {asked!r} is no hash of a revision, such as 5f0d3a91c2; `{program()} rollout status` shows "
            "them"
        )
    found = PLANS[action](service, asked)
    if asked and asked != found.revision:
        raise Refused(f"cannot {action} revision {asked}: the one to {action} is {found.revision}")
    return found


def _promote(service: InferenceService, asked: str) -> Intent:
    canary = _under_way("promote", service)
    waves = service.status.placement.rollout
    if waves.phase == "Baking":
        will = f"wave {waves.wave} of {waves.waves} is watched no longer: the next one begins"
        return Intent("promote", canary, will, bake=True)
    if service.status.rollout.phase == "Promoting" and service.status.rollout.paused is None:
        raise Refused(f"cannot promote: revision {canary} is being promoted already")
    will = (
        f"revision {canary} gets all requests as soon as its replicas are ready; what is left of steps, analysis and "
        "gates is skipped, guardrails are not"
    )
    return Intent("promote", canary, will)


def _pause(service: InferenceService, asked: str) -> Intent:
    canary = _under_way("pause", service)
    paused = service.status.rollout.paused
    if paused is not None:
        raise Refused(f"cannot pause: it is paused already, for {paused.reason}; `resume` goes on, `abort` gives up")
    will = f"revision {canary} keeps its share of requests until somebody resumes; guardrails still roll it back"
    return Intent("pause", canary, will)


def _resume(service: InferenceService, asked: str) -> Intent:
    canary = _under_way("resume", service)
    if service.status.rollout.paused is not None:
        return Intent("resume", canary, f"the rollout of revision {canary} goes on where it was paused")
    if gate := state.manual_gate(service):
        return Intent("resume", canary, f"the gate {gate} opens for revision {canary}, and its rollout goes on")
    raise Refused(f"cannot resume: the rollout of revision {canary} is not paused, and waits for no manual gate")


def _abort(service: InferenceService, asked: str) -> Intent:
    status, rollout = service.status, service.status.rollout
    if rollout.phase not in state.PROMOTED:
        canary = _under_way("abort", service)
        will = f"revision {rollout.stable} serves again" if rollout.stable else "nothing serves, as before it"
        return Intent("abort", canary, f"revision {canary} is rolled back and not tried again by itself; {will}")
    if not rollout.previous:
        raise Refused(
            f"cannot abort: revision {status.stable_revision} is promoted, and no previous one is kept to go back to; "
            "apply the spec of that one"
        )
    cold = rollout.rollback.ready == "Cold"
    how = "once its replicas have loaded" if cold else "at once"
    will = f"goes back {how} to revision {rollout.previous}; {status.stable_revision} is not tried again by itself"
    return Intent("abort", status.stable_revision, will)


def _retry(service: InferenceService, asked: str) -> Intent:
    rollout, wanted = service.status.rollout, service.status.latest_revision
    rejected = [each.hash for each in rollout.rejected]
    if rollout.phase == "RollingBack" and asked in ("", rollout.canary):
        raise Refused(f"cannot retry yet: revision {rollout.canary} is still being rolled back")
    if not rejected:
        raise Refused("cannot retry: no revision was rejected")
    if asked and asked not in rejected:
        raise Refused(f"cannot retry revision {asked}: it is not among the rejected ones, {', '.join(rejected)}")
    chosen = asked or (wanted if wanted in rejected else rejected[0])
    if chosen == wanted:
        return Intent("retry", chosen, f"revision {chosen} is rolled out anew, from its first step")
    will = f"revision {chosen} may be rolled out again; the spec asks for {wanted}, so nothing begins by that"
    return Intent("retry", chosen, will)


PLANS: dict[Action, Callable[[InferenceService, str], Intent]] = {
    "promote": _promote,
    "pause": _pause,
    "resume": _resume,
    "abort": _abort,
    "retry": _retry,
}


def _under_way(action: Action, service: InferenceService) -> str:
    """The canary whose rollout is under way. Raises Refused where none is."""
    rollout, serves = service.status.rollout, service.status.stable_revision
    if rollout.phase in UNDER_WAY and rollout.canary:
        return rollout.canary
    told = f"; revision {serves} serves" if serves else ""
    if rollout.phase == "RollingBack":
        raise Refused(f"cannot {action}: revision {rollout.canary} is being rolled back already{told}")
    more = f"; revision {rollout.canary} was rolled back" if rollout.phase == "RolledBack" and rollout.canary else ""
    raise Refused(f"cannot {action}: no rollout is under way (phase {rollout.phase}){more}{told}")


def value(found: Intent, now: float | None = None) -> str:
    """The annotation's value: one that was never there before, so that it is carried out once, and only once."""
    return f"{found.action}@{found.revision}/{_base36(int(time.time() if now is None else now))}{_letters()}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"


def _letters() -> str:
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(4))


def act(action: Action, name: str, where: Where, revision: str, limit: float | None) -> int:
    """Ask for `action`, and with `limit` wait so many seconds until it is carried out. Returns a `Code`."""
    return answered(_act(action, name, where, revision, limit), where, name)


async def _act(action: Action, name: str, where: Where, revision: str, limit: float | None) -> Code:
    async with opened(where) as client:
        return await ask(client, action, name, where.namespace, revision, limit)


async def ask(client: Writer, action: Action, name: str, namespace: str, revision: str, limit: float | None) -> Code:
    """Write the annotation, saying what will happen. Raises Refused before anything is written, Unreachable and
    KubeError."""
    service = await read_service(client, namespace, name)
    found = intent(action, service, revision)
    if state.behind(service):
        print("the operator has not judged the newest spec yet; it carries this out once it is back", file=sys.stderr)
    wanted = value(found)
    await client.annotate(INFERENCE_SERVICE, namespace, name, service.metadata.uid, {ACTION: wanted})
    print(f"asked to {action}: {found.will}")
    if limit is None:
        print(f"follow it: {program()} rollout status {name} -n {namespace} --watch")
        return Code.ENDED
    return await _handled(client, found, wanted, service, limit)


async def _handled(client: Reader, found: Intent, wanted: str, before: InferenceService, limit: float) -> Code:
    """Wait until the operator has carried it out, and tell what came of it."""
    meta, clock = before.metadata, asyncio.get_running_loop().time
    ends = clock() + limit
    while clock() < ends:
        try:
            service = await read_service(client, meta.namespace, meta.name)
        except KubeError as error:
            if error.final:
                raise
        else:
            if wanted in service.status.rollout.handled:
                print(done(found, service))
                return Code.ENDED
            _still_asked(found, wanted, service, meta.uid)
        await asyncio.sleep(EVERY)
    print(f"not carried out within {limit:g} s: see whether the operator runs; it acts once it does", file=sys.stderr)
    return Code.UNDER_WAY


def _still_asked(found: Intent, wanted: str, service: InferenceService, uid: str) -> None:
    """Raises Refused where the operator will not carry it out any more."""
    if service.metadata.uid != uid:
        raise Refused("not carried out: the service was deleted, and another one has its name")
    there = service.metadata.annotations.get(ACTION, "")
    if there != wanted:
        who = f"another request came, {there}" if there else "somebody took the annotation away"
        raise Refused(f"perhaps not carried out: {who} before the operator told of this one; see the rollout's status")
    intent(found.action, service, found.revision)


def done(found: Intent, service: InferenceService) -> str:
    """What came of an action that was carried out."""
    status, rollout = service.status, service.status.rollout
    hash_, serves = found.revision, status.stable_revision
    there = state.revision(service, hash_)
    weight = there.weight if there is not None else 0
    if found.action == "abort":
        falls = f"revision {hash_} still gets {weight}% of requests, which go to the other as it can carry them"
        came = falls if weight else f"revision {hash_} gets no requests any more"
        told = f"aborted: {came}; {rollout.stable if rollout.stable not in ('', hash_) else serves} serves"
    elif found.bake:
        told = f"promoted: the wave after the one that served revision {hash_} has begun"
    elif found.action == "promote":
        told = f"promoted: revision {hash_} gets {weight}% of requests, and all once its replicas are ready"
    elif found.action == "pause":
        told = f"paused: revision {hash_} keeps {weight}% of requests"
    elif found.action == "resume":
        told = f"resumed: revision {hash_} gets {weight}% of requests"
    else:
        told = f"revision {hash_} is no longer rejected"
    return f"{told}\nphase {rollout.phase}{f': {clean(rollout.message)}' if rollout.message else ''}"
