"""`inferops scale`: what is written, what is refused and with which remedy, and who would undo it."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.cli.owners import owners, undone_by
from inferops.cli.scale import Asked, Plan, Refused, plan, state
from inferops.kube.owned import Object
from unit.cli.scenes import OLD, parsed, revision, service


def raw(desired: int | None = 2, labels: dict[str, str] | None = None, managed: Any = (), **scaling: Any) -> Object:
    stable = revision(OLD, "Stable", replicas=2, readyReplicas=2, weight=100, desiredWeight=100, usdPerHour="2.5")
    found = service(revisions=[stable], desiredReplicas=desired, readyReplicas=2)
    found["metadata"] = {**found["metadata"], "labels": labels or {}, "managedFields": list(managed)}
    found["spec"] = {**found["spec"], "scaling": scaling}
    return found


def planned(found: Object, **asked: Any) -> Plan:
    return plan(parsed(found), found, Asked(**asked))


def test_a_number_goes_through_the_scale_subresource() -> None:
    found = planned(raw(), replicas=3)
    assert found.scaling == {"replicas": 3} and found.by_subresource
    assert found.will == "3 replicas in place of 2 (7.50 USD/h), no other number is chosen until --auto"


def test_bounds_and_auto_are_a_patch_of_the_spec() -> None:
    found = planned(raw(replicas=3, maxReplicas=4), auto=True, max=6)
    assert found.scaling == {"replicas": None, "maxReplicas": 6} and not found.by_subresource
    assert found.will == "scaling decides again: mode auto, between 1 and 6 replicas (at most 15.00 USD/h)"


def test_hold_keeps_the_number_that_was_decided() -> None:
    assert planned(raw(desired=5), hold=True).scaling == {"replicas": 5}


def test_zero_says_what_that_means() -> None:
    assert planned(raw(), replicas=0).will.startswith("it stops: no replica runs")


@pytest.mark.parametrize(
    ("scaling", "asked"),
    [({"replicas": 3}, {"replicas": 3}), ({"minReplicas": 2}, {"min": 2}), ({}, {"auto": True})],
)
def test_what_is_so_already_writes_nothing(scaling: Any, asked: Any) -> None:
    assert planned(raw(**scaling), **asked).scaling == {}


@pytest.mark.parametrize(
    ("scaling", "asked", "why"),
    [
        ({}, {}, "give --replicas, --min, --max, --auto or --hold; now: 2 ready, 2 wanted, mode auto, bounds 1 to 1"),
        ({}, {"replicas": 2, "auto": True}, "exclude each other"),
        ({"maxReplicas": 4}, {"replicas": 5}, "5 replicas by hand would be above the maximum, 4: add --max 5"),
        ({"maxReplicas": 4}, {"min": 5}, "the minimum, 5, would be above the maximum, 4: add --max 5"),
        ({"minReplicas": 3, "maxReplicas": 4}, {"max": 2}, "the minimum, 3, would be above the maximum, 2: add --min"),
        ({"replicas": 4, "maxReplicas": 4}, {"max": 2}, "by hand would be above the maximum, 2: give --auto"),
        (
            {"schedule": [{"name": "day", "cron": "0 8 * * *", "duration": "8h", "minReplicas": 6}]},
            {"max": 4},
            "the window day of spec.scaling.schedule wants at least 6: give --max 6 or more",
        ),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_what_would_do(scaling: Any, asked: Any, why: str) -> None:
    with pytest.raises(Refused) as refused:
        planned(raw(**scaling), **asked)
    assert why in str(refused.value)


def test_what_a_hub_wrote_is_scaled_on_the_hub() -> None:
    with pytest.raises(Refused, match="on the hub"):
        planned(raw(labels={"inferops.dev/hub": "uid"}), replicas=1)


def test_nothing_that_was_decided_cannot_be_held() -> None:
    with pytest.raises(Refused, match="give --replicas"):
        planned(raw(desired=None), hold=True)


@pytest.mark.parametrize(
    ("scaling", "asked", "note"),
    [
        ({"mode": "external"}, {"replicas": 2}, "an HPA or KEDA that scales it sets another number soon"),
        ({"replicas": 2}, {"max": 4}, "bounds change nothing until --auto"),
        ({}, {"min": 0}, "scaleToZeroAfter"),
    ],
)
def test_what_may_come_in_between_is_noted(scaling: Any, asked: Any, note: str) -> None:
    assert any(note in each for each in planned(raw(**scaling), **asked).warnings)


FIELDS = {"f:spec": {"f:scaling": {"f:replicas": {}, "f:maxReplicas": {}}}}


@pytest.mark.parametrize(
    ("manager", "meta", "told"),
    [
        ("kustomize-controller", {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps",
                                             "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}},
         "comes from Git by Flux (Kustomization flux-system/apps): its next sync sets it back"),
        ("argocd-controller", {"annotations": {"argocd.argoproj.io/tracking-id": "chat:serving/Inf:chat/llama"}},
         "comes from Git by Argo CD (Application chat): "),
        ("helm", {"annotations": {"meta.helm.sh/release-name": "llama", "meta.helm.sh/release-namespace": "chat"}},
         "by Helm (release chat/llama)"),
        ("argocd-controller", {}, "by Argo CD: "),
        ("kubectl", {}, "was applied by kubectl: the next apply of that file sets it back"),
        ("keda", {}, "is also set by keda"),
        ("inferops-cli", {}, ""),
    ],
)  # fmt: skip
def test_who_would_set_it_back(manager: str, meta: Any, told: str) -> None:
    found = raw(managed=[{"manager": manager, "fieldsV1": FIELDS}])
    found["metadata"].update(meta)
    said = undone_by(found, ("spec", "scaling", "replicas"))
    assert told in said and bool(said) is bool(told)
    assert owners(found, ("spec", "scaling", "minReplicas")) == []
    if told:
        assert said in planned(found, replicas=5).warnings


def test_the_state_is_told_in_few_words() -> None:
    assert (
        state(parsed(raw(desired=None, replicas=3))) == "2 ready, not decided yet, mode auto, bounds 1 to 1, by hand 3"
    )
