"""Every status passes kstatus, Argo CD's health check and the rules; and that each of them can fail.

kstatus and Lua are the real ones: `make binaries` builds them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import statuscheck
from statuscheck import Verdict, report, verdicts, violations, written
from unit.hack.statuses import AVAILABLE, READY, SOUND, STUCK, WAITS, Json, condition, service

BROKEN = {
    "no Ready": (service(AVAILABLE), "there is no condition Ready"),
    "Ready of nothing, while it is observed": (service(), "there is no condition Ready"),
    "both": (service(*STUCK, WAITS[1]), "Stalled and Reconciling are there together"),
    "stalled and ready": (service(READY, STUCK[1]), "Ready is False with Stalled, and only then"),
    "not ready for no reason": (service(STUCK[0]), "Ready is False with Stalled, and only then"),
    "unknown at rest": (service(WAITS[0]), "Ready is Unknown with Reconciling, and only then"),
    "reconciling and ready": (service(READY, WAITS[1]), "Ready is Unknown with Reconciling, and only then"),
    "reconciling, and said not to": (service(READY, condition("Reconciling", "False")), "only while they are True"),
    "stalled, and said not to": (service(READY, condition("Stalled", "False")), "only while they are True"),
    "of a generation to come": (service(READY, observed=3), "beyond the generation 2"),
    "a condition of a generation to come": (service(condition("Ready", "True", of=3)), "a condition's observedGener"),
    "ready by an old condition": (service(condition("Ready", "True", of=1)), "`kubectl wait` goes by the condition's"),
    "twice ready": (service(READY, READY), "a condition is there twice"),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_is_judged_as_it_means(name: str) -> None:
    judged, kstatus, health = SOUND[name]
    [verdict] = verdicts([judged])
    assert verdict == Verdict(kstatus, health)
    assert list(statuscheck.broken(judged, verdict)) == []


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_sound_is_found(name: str) -> None:
    judged, wrong = BROKEN[name]
    assert any(wrong in each for each in statuscheck.broken(judged, verdicts([judged])[0]))


@pytest.mark.parametrize(
    ("verdict", "wrong"),
    [
        (Verdict("InProgress", "Progressing"), "kstatus says InProgress where it should say Current"),
        (Verdict("Current", "Degraded"), "Argo CD says Degraded where kstatus says Current"),
    ],
)
def test_judges_that_are_mistaken_are_found(verdict: Verdict, wrong: str) -> None:
    assert list(statuscheck.broken(service(READY), verdict)) == [wrong]


def event(judged: Json, user: str = "system:serviceaccount:inferops-system:inferops-operator", code: int = 200) -> str:
    of = {"apiGroup": "serving.inferops.dev", "resource": "inferenceservices", "subresource": "status"}
    return json.dumps(
        {
            "objectRef": of,
            "user": {"username": user},
            "requestURI": "/apis",
            "responseStatus": {"code": code},
            "responseObject": judged,
        },
        separators=(",", ":"),
    )


def test_the_statuses_of_audit_logs_are_judged_once_each(tmp_path: Path) -> None:
    good, bad = service(READY, AVAILABLE), service(*STUCK, WAITS[1])
    counted = {**good, "status": {**good["status"], "replicas": 3}}
    tmp_path.joinpath("hub.log").write_text("\n".join([event(good), event(counted), event(bad), "{}", ""]))
    tmp_path.joinpath("member.log").write_text(event(bad) + "\n" + event(service(AVAILABLE))[:-40])  # cut off
    assert len(list(written(sorted(tmp_path.iterdir())))) == 2
    count, found = violations(tmp_path)
    assert count == 2 and any("InferenceService chat/llama, resourceVersion 7: Stalled and Rec" in one for one in found)
    sound, text = report(tmp_path)
    assert not sound and "Stalled=True of 2, RolledBack: told" in text


def test_what_people_and_refused_requests_wrote_is_nobodys_status(tmp_path: Path) -> None:
    bad = service(AVAILABLE)
    tmp_path.joinpath("hub.log").write_text(f"{event(bad, user='kubernetes-admin')}\n{event(bad, code=409)}\n")
    assert report(tmp_path) == (True, "0 statuses, all as kstatus and Argo CD want them")


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ('return {status = "Fine"}', "which Argo CD does not know"),
        ('return "Healthy"', "returned a string and not a table"),
        ('return {status = string.upper("healthy")}', "attempt to index a non-table object"),  # no open libraries
        ("while true do end", "context deadline exceeded"),
    ],
)
def test_health_checks_that_argo_cd_would_refuse_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, wrong: str
) -> None:
    monkeypatch.setattr(statuscheck, "HEALTH", tmp_path / "health.lua")
    statuscheck.HEALTH.write_text(script)
    with pytest.raises(RuntimeError, match=wrong):
        verdicts([service(READY)])
