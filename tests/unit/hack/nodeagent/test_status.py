"""A pod's status follows from its containers, as kubelet writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.status import Container, PodFacts, pod_status, running, terminated, waiting

NOW, LATER = "2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z"


def facts(**changes):
    usual = dict(
        generation=3, restart_policy="Always", start_time=NOW, host_address="10.244.64.1", address="10.244.128.1"
    )
    return PodFacts(**(usual | changes))


def container(state, *, ready=False, **more):
    return Container("engine", "vllm:1", state=state, ready=ready, **more)


def conditions(status):
    return {condition["type"]: condition["status"] for condition in status["conditions"]}


UP = running(NOW)
BAD, GOOD = terminated(1, NOW, NOW), terminated(0, NOW, NOW)


@pytest.mark.parametrize(
    ("case", "policy", "state", "phase"),
    [
        ("not yet started", "Always", waiting("ContainerCreating"), "Pending"),
        ("runs", "Always", UP, "Running"),
        ("ended well, to be started again", "Always", GOOD, "Running"),
        ("ended well, for good", "Never", GOOD, "Succeeded"),
        ("failed, for good", "Never", BAD, "Failed"),
        ("failed, to be started again", "OnFailure", BAD, "Running"),
        ("done on failure", "OnFailure", GOOD, "Succeeded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_phase(case, policy, state, phase):
    status = pod_status(facts(restart_policy=policy), [], [container(state)], [], NOW)
    assert status["phase"] == phase


@pytest.mark.parametrize(("beside", "phase"), [(UP, "Running"), (GOOD, "Succeeded")], ids=["runs", "ended"])
def test_a_pod_is_not_over_while_a_sidecar_runs(beside, phase):
    proxy = Container("proxy", "proxy:1", sidecar=True, state=beside)
    status = pod_status(facts(restart_policy="Never"), [proxy], [container(GOOD)], [], NOW)
    assert status["phase"] == phase


def test_a_crash_loop_is_still_running():
    looping = container(waiting("CrashLoopBackOff"), last_state=BAD, restarts=4)
    status = pod_status(facts(), [], [looping], [], NOW)
    assert status["phase"] == "Running"
    (shown,) = status["containerStatuses"]
    assert (shown["restartCount"], shown["lastState"]["terminated"]["exitCode"]) == (4, 1)
    assert conditions(status)["Ready"] == "False"


def test_ready_follows_the_containers_and_the_gates():
    one, two = container(UP, ready=True), Container("side", "i", state=UP)
    half = pod_status(facts(), [], [one, two], [], NOW)
    assert conditions(half)["Ready"] == "False"
    assert half["conditions"][2]["message"] == "containers with unready status: [side]"
    two.ready = True
    gated = facts(readiness_gates=("example.com/warm",))
    assert conditions(pod_status(facts(), [], [one, two], [], NOW))["Ready"] == "True"
    assert conditions(pod_status(gated, [], [one, two], [], NOW))["Ready"] == "False"
    open_gate = [{"type": "example.com/warm", "status": "True"}]
    assert conditions(pod_status(gated, [], [one, two], open_gate, NOW))["Ready"] == "True"


def test_init_containers_hold_the_pod_back():
    first = Container("fetch", "i", state=UP)
    status = pod_status(facts(), [first], [container(waiting("PodInitializing"))], [], NOW)
    assert status["phase"] == "Pending"
    assert conditions(status)["Initialized"] == "False"
    first.state = GOOD
    assert conditions(pod_status(facts(), [first], [container(UP)], [], NOW))["Initialized"] == "True"


def test_a_sidecar_counts_for_readiness():
    sidecar = Container("proxy", "i", sidecar=True, state=UP, started=True)
    status = pod_status(facts(), [sidecar], [container(UP, ready=True)], [], NOW)
    assert conditions(status)["Initialized"] == "True"
    assert conditions(status)["Ready"] == "False"


def test_without_a_network_there_is_no_address():
    status = pod_status(facts(address=None), [], [container(waiting("ContainerCreating"))], [], NOW)
    assert "podIP" not in status
    assert conditions(status)["PodReadyToStartContainers"] == "False"


@given(st.booleans(), st.booleans())
def test_a_condition_moves_its_time_only_when_it_changes(before, after):
    first = pod_status(facts(), [], [container(UP, ready=before)], [], NOW)
    second = pod_status(facts(), [], [container(UP, ready=after)], first["conditions"], LATER)
    times = {condition["type"]: condition["lastTransitionTime"] for condition in second["conditions"]}
    assert times["Ready"] == times["ContainersReady"] == (NOW if before == after else LATER)
    assert times["Initialized"] == NOW


@pytest.mark.parametrize(
    ("code", "reason"), [(0, "Completed"), (1, "Error"), (137, "OOMKilled"), (143, "Error"), (139, "Error")]
)
def test_the_reason_of_an_end_follows_from_its_code(code, reason):
    assert terminated(code, NOW, LATER)["terminated"]["reason"] == reason


def test_what_a_lost_node_left_running_counts_as_a_restart():
    spec = {"name": "engine", "image": "vllm:1"}
    before = container(UP, ready=True, restarts=2).report()
    shown = Container.resumed(spec, before, "ContainerCreating")
    assert shown.restarts == 3
    assert shown.last_state["terminated"]["reason"] == "Unknown"
    assert not shown.ready
    fresh = Container.resumed(spec, container(waiting("ContainerCreating")).report(), "ContainerCreating")
    assert fresh.restarts == 0
