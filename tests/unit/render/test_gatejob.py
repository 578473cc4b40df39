"""The Job of a gate: within `restricted`, told where both revisions are, and never taken for a replica."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.rollout import Gate
from inferops.controller.watch import CHILD_SELECTOR
from inferops.core.rollout.view import GateWanted
from inferops.render import labels
from inferops.render.gatejob import CONTAINER, Compared, compared, job_name, render_gate_job
from inferops.render.inferencepool import http_port
from inferops.render.record import Record
from inferops.render.restricted import violations
from unit.render.building import UID, records, rendered, resources, service
from unit.render.podsecurity import assert_restricted

SINCE = datetime(2025, 11, 3, 12, 0, 0, 250, tzinfo=UTC)
TOLD = Compared("http://chat-aaaaaaaaaa.team-a.svc:8000", "http://chat-bbbbbbbbbb.team-a.svc:8000", "qwen3-8b")
OURS = {"INFEROPS_CANARY_URL", "INFEROPS_STABLE_URL", "INFEROPS_MODEL", "INFEROPS_CANARY", "INFEROPS_STABLE"}
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
words = st.text(min_size=1, max_size=60).filter(lambda text: re.match("(?s)-?[^-].*$", text) is not None)
variables = st.one_of(st.sampled_from(sorted(OURS)), st.from_regex("[A-Z_]{1,20}", fullmatch=True))
envs = st.lists(
    st.fixed_dictionaries({"name": variables, "value": st.text(max_size=20)}), max_size=6, unique_by=lambda e: e["name"]
)


def wanted(job: dict[str, Any] | None = None, name: str = "quality", wait: str = "1h", **more: Any) -> GateWanted:
    gate = Gate.model_validate({"name": name, "job": job or {"image": "eval:1"}, "wait": wait, "at": [5]})
    asked = f"aaaaaaaaaa-20251103t1200000000-5-{name}"
    return GateWanted(**{"name": asked, "gate": gate, "canary": "a" * 10, "stable": "b" * 10, "weight": 5,
                         "since": SINCE, **more})  # fmt: skip


def env_of(job: dict[str, Any]) -> dict[str, Any]:
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    found = {each["name"]: each.get("value", each.get("valueFrom", "")) for each in env}
    assert len(found) == len(env)
    return found


@given(
    st.fixed_dictionaries(
        {"image": st.just("registry.example.com/eval:1")},
        optional={
            "command": st.lists(words, min_size=1, max_size=3),
            "args": st.lists(words, min_size=1, max_size=3),
            "env": envs,
            "resources": resources,
        },
    ),
    names,
)
def test_whatever_users_ask_for_it_keeps_within_restricted_and_their_words_stay_words(
    given_job: dict[str, Any], name: str
) -> None:
    job = render_gate_job(service(), wanted(given_job, name), TOLD)
    assert json.loads(json.dumps(job)) == job
    pod = job["spec"]["template"]["spec"]
    assert violations(pod) == []
    assert_restricted(pod)
    assert pod["automountServiceAccountToken"] is False and "serviceAccountName" not in pod
    assert "volumes" not in pod and "nodeName" not in pod
    container = pod["containers"][0]
    for part in ("command", "args"):
        assert container.get(part, []) == given_job.get(part, [])
    assert not any("/" in name for kind in container["resources"].values() for name in kind)  # no GPU
    env = env_of(job)
    assert env["INFEROPS_CANARY_URL"] == TOLD.canary_url and env["INFEROPS_STABLE_URL"] == TOLD.stable_url
    assert (env["INFEROPS_CANARY"], env["INFEROPS_STABLE"]) == ("a" * 10, "b" * 10)
    assert (env["INFEROPS_MODEL"], env["NVIDIA_VISIBLE_DEVICES"]) == (TOLD.model, "void")
    users = {each["name"]: each["value"] for each in given_job.get("env", []) if each["name"] not in OURS}
    assert {key: env[key] for key in users} == users


@given(names, names)
def test_its_name_is_a_label_and_anothers_is_another(of: str, name: str) -> None:
    one = wanted(name=name)
    found = job_name(of, one)
    assert LABEL.fullmatch(found)
    others = (
        replace(one, name=one.name + "x"),
        replace(one, gate=one.gate.model_copy(update={"wait": "2h"})),
        wanted({"image": "eval:2"}, name),
    )
    assert len({found, *(job_name(of, other) for other in others)}) == 4
    assert job_name(of, replace(one, since=SINCE + timedelta(hours=1))) == found  # the same, asked again


def test_it_is_a_child_of_the_service_and_tells_what_asked_for_it() -> None:
    meta = render_gate_job(service(), wanted(), TOLD)["metadata"]
    assert [owner["uid"] for owner in meta["ownerReferences"]] == [UID]
    assert (meta["namespace"], meta["labels"]["inferops.dev/service"]) == ("team-a", "chat")
    assert meta["labels"]["inferops.dev/role"] == "gate"
    assert meta["annotations"] == {
        "inferops.dev/gate": wanted().name,
        "inferops.dev/gate-since": "2025-11-03T12:00:00.000250+00:00",
    }


@given(records())
def test_no_service_budget_or_watch_takes_its_pods_for_replicas(record: Record) -> None:
    job = render_gate_job(service(), wanted(), TOLD)
    pods = job["spec"]["template"]["metadata"]["labels"]
    key, _, value = CHILD_SELECTOR.partition("=")
    assert pods.get(key) != value and job["metadata"]["labels"][key] == value  # the Job alone is watched
    assert labels.REVISION not in pods
    selectors = [
        record.objects["service"]["spec"]["selector"],
        record.objects["pdb"]["spec"]["selector"]["matchLabels"],
        record.workload["spec"]["selector"]["matchLabels"],
    ]
    assert all(not selector.items() <= pods.items() for selector in selectors)


@pytest.mark.parametrize(
    ("wait", "limit"), [("1h", 3600), ("1h30m", 5400), ("500ms", 1), ("1s1ms", 2), ("9999d", 863_913_600)]
)
def test_it_runs_no_longer_than_its_gate_waits(wait: str, limit: int) -> None:
    spec = render_gate_job(service(), wanted(wait=wait), TOLD)["spec"]
    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (limit, 3600)


def test_an_exit_code_ends_it_and_an_evicted_pod_does_not() -> None:
    spec = render_gate_job(service(), wanted(), TOLD)["spec"]
    evicted, ended = spec["podFailurePolicy"]["rules"]
    assert evicted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert ended["action"] == "FailJob"
    assert ended["onExitCodes"] == {"containerName": CONTAINER, "operator": "NotIn", "values": [0]}
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never" and [each["name"] for each in pod["containers"]] == [CONTAINER]


def test_resources_are_as_the_api_server_stores_them() -> None:
    job = render_gate_job(service(), wanted({"image": "e", "resources": {"cpu": "1000m", "memory": "1024Mi"}}), TOLD)
    found = job["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert found == {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}


def test_secrets_of_the_namespace_reach_it_by_reference() -> None:
    env = [{"name": "HF_TOKEN", "valueFromSecret": {"name": "hf", "key": "token"}}, {"name": "SUITE", "value": "smoke"}]
    found = env_of(render_gate_job(service(), wanted({"image": "e", "env": env}), TOLD))
    assert found["HF_TOKEN"] == {"secretKeyRef": {"name": "hf", "key": "token"}} and found["SUITE"] == "smoke"


@given(records())
def test_it_is_told_the_addresses_and_the_model_of_the_revisions(record: Record) -> None:
    told = compared(service(), ("aaaaaaaaaa", record), ("bbbbbbbbbb", record))
    port = http_port(record)
    assert told.canary_url == f"http://chat-aaaaaaaaaa.team-a.svc:{port}"
    assert told.stable_url == f"http://chat-bbbbbbbbbb.team-a.svc:{port}"
    assert told.model == "chat"
    named = replace(record, spec=record.spec.model_copy(update={"model": record.spec.model.model_copy(
        update={"name": "Qwen/Qwen3-8B"})}))  # fmt: skip
    assert compared(service(), ("a", named), ("b", record)).model == "Qwen/Qwen3-8B"


def test_a_revision_that_is_gone_has_no_address() -> None:
    told = compared(service(), ("aaaaaaaaaa", rendered(service())), ("bbbbbbbbbb", None))
    assert told.stable_url == ""
    assert env_of(render_gate_job(service(), wanted(), told))["INFEROPS_STABLE_URL"] == ""


def test_a_gate_without_a_job_has_none() -> None:
    with pytest.raises(ValueError, match="gate quality has no job"):
        manual = Gate.model_validate({"name": "quality", "manual": True})
        render_gate_job(service(), replace(wanted(), gate=manual), TOLD)
