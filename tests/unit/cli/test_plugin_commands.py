"""`kubectl inferops …` as it is typed, against an API server on loopback: what is asked of it, and how each exits."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from inferops.cli.lines import program
from inferops.cli.main import app
from inferops.kube.owned import Object
from unit.cli.scenes import OBSERVING, PROMOTED, at, retaining, rolled_back, service
from unit.cli.serving import SERVICES, Request, Server, kubeconfig, said

READY = [{"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": at()}]
VLLM = "vllm:num_requests_running 2\nvllm:kv_cache_usage_perc 0.25\nvllm:generation_tokens_total {}\n"
FORBIDDEN = (403, {"reason": "Forbidden", "message": "no"})


class Cluster(Server):
    """An API server that lists all of its kinds, logs and proxies."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: tuple[str, ...] = ()
        self.tokens = 0
        self.became: Object | None = None  # by a patch; none: as it was

    def answer(self, request: Request) -> tuple[int, Any]:
        path = request.path
        if any(part in path for part in self.forbidden):
            return FORBIDDEN
        if path.endswith("/log"):
            return 200, f"{path.split('/')[-2]} says hello\n".encode()
        if "/proxy/" in path:
            self.tokens += 100
            return (404, {}) if "inferops-system" in path else (200, VLLM.format(self.tokens).encode())
        if path.startswith(SERVICES) and request.verb == "PATCH":
            self.requests.append(request)
            return 200, self.became or self.service
        if path == f"{SERVICES}/llama":
            return super().answer(request)
        if "/inferenceservices/" in path:
            return 404, {}
        listed = {"inferenceservices": [self.service], "pods": self.pods}.get(path.rpartition("/")[2], [])
        return 200, {"metadata": {"resourceVersion": "7"}, "items": listed}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as server:
        server.service = service(retaining(), **PROMOTED, conditions=READY, desiredReplicas=4)
        assert server.service is not None
        server.service["apiVersion"], server.service["kind"] = "serving.inferops.dev/v1alpha1", "InferenceService"
        for each in server.pods:
            each["spec"]["containers"] = [{"name": "engine", "ports": [{"name": "http", "containerPort": 8000}]}]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def typed(cluster: Cluster, tmp_path: Path) -> Any:
    """Run a command; the context names the namespace chat."""
    file = kubeconfig(tmp_path, cluster.server_address[1])
    content = yaml.safe_load(file.read_text())
    content["contexts"][0]["context"]["namespace"] = "chat"
    away = {"name": "away", "context": {**content["contexts"][0]["context"], "namespace": "elsewhere"}}
    content["contexts"].append(away)
    file.write_text(yaml.safe_dump(content))
    return lambda *args: CliRunner().invoke(app, [*args, "--kubeconfig", str(file)])


def test_without_a_namespace_that_of_the_context_is_meant(typed: Any) -> None:
    assert typed("why", "llama").exit_code == 0
    result = typed("why", "llama", "--context", "away")
    assert result.exit_code == 2 and "no InferenceService llama in namespace elsewhere" in said(result)
    assert typed("why", "llama", "-n", "nowhere").exit_code == 2
    assert "Invalid kube-config" in said(typed("why", "llama", "--context", "none"))


@pytest.mark.parametrize("way", [(), ("-A",), ("-o", "wide"), ("-o", "json"), ("-o", "yaml")])
def test_list_in_every_way(typed: Any, way: tuple[str, ...]) -> None:
    result = typed("list", *way)
    assert result.exit_code == 0 and "llama" in said(result) and "\x1b" not in said(result)


def test_list_of_nothing_and_of_what_may_not_be_seen(cluster: Cluster, typed: Any) -> None:
    cluster.forbidden = ("inferenceservices",)
    result = typed("list", "-A")
    assert result.exit_code == 2 and "InferenceServices: you may not: no; ask the admin" in said(result)


@pytest.mark.parametrize(
    ("raw", "code"),
    [(service(rolled_back(), conditions=READY), 1), (service(OBSERVING, conditions=READY), 0)],
    ids=["rolled back", "under way"],
)
def test_why_exits_by_whether_anything_is_wrong(cluster: Cluster, typed: Any, raw: Object, code: int) -> None:
    cluster.service = raw
    assert typed("why", "llama").exit_code == code
    told = json.loads(said(typed("why", "llama", "-o", "json")))
    assert told["wrong"] is bool(code) and told["explanations"][0]["verdict"]


def test_why_tells_what_it_could_not_see(cluster: Cluster, typed: Any) -> None:
    cluster.forbidden = ("/pods", "/events")
    result = typed("why", "llama")
    assert result.exit_code == 0
    assert "you may not list events in namespace chat: events are not told" in said(result)
    assert "its pods are not shown" in said(result)


def test_a_number_is_a_patch_of_the_scale_subresource_by_a_manager_of_its_own(cluster: Cluster, typed: Any) -> None:
    result = typed("scale", "llama", "--replicas", "3")
    assert result.exit_code == 0 and said(result).startswith("scaled: 3 replicas in place of 4")
    (patch,) = cluster.writes
    assert (patch.path, patch.type) == (f"{SERVICES}/llama/scale", "application/merge-patch+json")
    assert patch.body == {"spec": {"replicas": 3}} and patch.query["fieldManager"] == ["inferops-cli"]


def test_bounds_are_a_patch_of_the_spec_of_this_very_service(cluster: Cluster, typed: Any) -> None:
    assert typed("scale", "llama", "--min", "2", "--max", "5", "--dry-run").exit_code == 0
    (patch,) = cluster.writes
    assert patch.path == f"{SERVICES}/llama" and patch.query["dryRun"] == ["All"]
    assert patch.body == {
        "metadata": {"uid": "uid-llama"},
        "spec": {"scaling": {"minReplicas": 2, "maxReplicas": 5}},
    }


def test_what_is_so_already_or_is_nonsense_writes_nothing(cluster: Cluster, typed: Any) -> None:
    assert typed("scale", "llama", "--auto").exit_code == 0
    assert typed("scale", "llama").exit_code == 2
    assert typed("scale", "llama", "--min", "5", "--max", "2").exit_code == 2
    assert typed("scale", "llama", "--replicas", "-1").exit_code == 2
    assert cluster.writes == []


def test_logs_have_their_revision_and_replica(cluster: Cluster, typed: Any) -> None:
    result = typed("logs", "llama", "--tail", "5", "--since", "10m")
    assert result.exit_code == 0
    assert "[a91c22d07b/0] llama-a91-1 says hello\n" in said(result)
    only = said(typed("logs", "llama", "--revision", "stable"))
    assert "llama-a91-1" in only and "llama-5f0-1" not in only
    assert typed("logs", "llama", "--revision", "zzz").exit_code == 2
    assert typed("logs", "llama", "--since", "yesterday").exit_code == 2
    assert typed("logs", "llama", "-f", "-p").exit_code == 2
    cluster.pods = []
    assert typed("logs", "llama").exit_code == 1


def test_logs_that_may_not_be_read(cluster: Cluster, typed: Any) -> None:
    cluster.forbidden = ("/log",)
    result = typed("logs", "llama")
    assert result.exit_code == 2 and "you may not" in said(result)


def test_top_once_by_the_engines(cluster: Cluster, typed: Any) -> None:
    result = typed("top", "llama", "--once", "--interval", "0.2", "-o", "json")
    [told] = json.loads(said(result))["services"]
    assert result.exit_code == 0 and told["source"] == "engines" and told["kvCacheUsage"] == 0.25
    assert told["tokensPerSecond"] > 0 and told["running"] == 4
    assert "25%" in said(typed("top", "--once", "--interval", "0.2", "-A"))
    assert typed("top", "llama", "-A", "--once").exit_code == 2


def test_top_without_the_right_to_proxy_shows_the_rest(cluster: Cluster, typed: Any) -> None:
    cluster.forbidden = ("/proxy/",)
    result = typed("top", "--once", "--interval", "0.2")
    assert result.exit_code == 0 and "4/4" in said(result)
    assert "not seen: pod llama-a91-1: you may not get pods/proxy" in said(result)


def test_cost_counts_tokens_where_it_may(cluster: Cluster, typed: Any) -> None:
    assert cluster.service is not None
    cluster.service["status"]["revisions"][0]["usdPerHour"] = "2.5"
    cluster.service["status"]["revisions"][1]["usdPerHour"] = "2.5"
    result = typed("cost", "--over", "0.2", "-o", "json")
    [told] = json.loads(said(result))["rows"]
    assert result.exit_code == 0 and told["usdPerHour"] == 5.0, "of the two pods there are"
    assert told["usdPerMillionTokens"] > 0
    for by in ("service", "namespace", "accelerator", "cluster"):
        assert "5.00" in said(typed("cost", "--over", "0", "--by", by))
    assert typed("cost", "--gateway-service", "nonsense").exit_code == 2


def test_diff_asks_and_changes_nothing(cluster: Cluster, typed: Any, tmp_path: Path) -> None:
    assert cluster.service is not None
    file = tmp_path / "llama.yaml"
    file.write_text(yaml.safe_dump({**cluster.service, "status": {}}))
    same = typed("diff", "-f", str(file))
    assert (same.exit_code, said(same)) == (0, "InferenceService chat/llama: unchanged\n")
    cluster.became = {**cluster.service, "spec": {**cluster.service["spec"], "load": {"concurrency": 3}}}
    other = typed("diff", "-f", str(file), "--objects")
    assert other.exit_code == 1 and '+ spec.load: {"concurrency": 3}' in said(other)
    assert all(each.query["dryRun"] == ["All"] for each in cluster.writes)
    assert typed("diff", "-f", str(tmp_path / "none.yaml")).exit_code == 2


def test_version_of_a_cluster_that_is_not_there_is_that_of_the_program(typed: Any, tmp_path: Path) -> None:
    assert "cluster: inferops is not installed" in said(typed("version"))
    away = CliRunner().invoke(app, ["version", "--kubeconfig", str(tmp_path / "none")])
    assert away.exit_code == 0 and said(away).startswith("client: ") and "not seen: " in said(away)


def test_people_are_told_to_type_what_they_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/kubectl-inferops", "list"])
    assert program() == "kubectl inferops"
    monkeypatch.setattr("sys.argv", ["/usr/bin/inferops", "list"])
    assert program() == "inferops"
