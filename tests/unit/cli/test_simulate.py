"""`inferops simulate` as it is typed, with real runs of small traffic."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner, Result

from inferops.cli import simulatebench
from inferops.cli.main import app
from inferops.cli.simulateprogress import Bar

SERVICE: dict[str, Any] = {
    "apiVersion": "serving.inferops.dev/v1alpha1",
    "kind": "InferenceService",
    "metadata": {"name": "chat", "namespace": "prod"},
    "spec": {
        "model": {"uri": "hf://Qwen/Qwen3-8B", "quantization": "fp8", "maxModelLen": 8192},
        "accelerators": [{"type": "nvidia-l4"}],
        "slo": {"ttft": "2s", "tpot": "80ms"},
        "scaling": {"minReplicas": 1, "maxReplicas": 6},
    },
}
ACCELERATOR = """
apiVersion: serving.inferops.dev/v1alpha1
kind: Accelerator
metadata: {name: ours-x1}
spec:
  nodeLabels: [{key: example.com/gpu, values: [x1]}]
  memoryGiB: 80
  bandwidthGBps: 2000
  tflops: {bf16: 500, fp8: 1000}
"""
WINDOW = {"cron": "0 8 * * *", "duration": "1h", "minReplicas": 4}
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


@pytest.fixture(autouse=True)
def short_load_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests do not depend on how exactly it is known what a replica carries."""
    if request.function is not test_what_a_replica_carries_is_where_its_slo_ends:
        monkeypatch.setattr(simulatebench, "PROBED", (100, 200))


def service(**spec: Any) -> str:
    return yaml.safe_dump({**SERVICE, "spec": {**SERVICE["spec"], **spec}})


def invoke(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["simulate", "-f", "-", *words], input=service() if text is None else text)


def simulate(*words: str, text: str | None = None, code: int = 0) -> dict[str, Any]:
    """The answer as data."""
    result = invoke(*words, "--json", "-", text=text)
    assert result.exit_code == code, result.output
    assert result.stderr == ""  # no bar where nobody watches
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refused(*words: str, text: str | None = None) -> str:
    result = invoke(*words, text=text)
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and result.stderr.startswith("inferops simulate: ")
    return result.stderr


def test_every_rule_meets_the_same_requests() -> None:
    found = simulate("--poisson", "1,8m", "--compare", "hpa,hpa:defaults,static", "--cold-start", "60s")
    assert [run["policy"] for run in found["runs"]] == ["inferops", "hpa", "hpa (defaults)", "static"]
    assert [run["ours"] for run in found["runs"]] == [True, False, False, False]
    assert len({run["requests"] for run in found["runs"]}) == 1 and found["runs"][0]["requests"] > 300
    for run in found["runs"]:
        assert run["met"] <= run["requests"] and run["replica_hours"] > 0
        assert run["cost"] == pytest.approx(0.78 * run["gpu_hours"])
        assert sum(run["timeline"]["judged"]) == run["requests"] - run["unfinished"]


def test_the_same_seed_says_the_same_and_another_does_not() -> None:
    one, again, other = (simulate("--poisson", "1,3m", "--seed", seed) for seed in ("4", "4", "5"))
    assert one == again != other


def test_the_table_is_told_with_its_facts() -> None:
    lines = invoke("--poisson", "0.5,3m").stdout.splitlines()
    assert lines[0] == "Simulation of prod/chat"
    assert any("1x nvidia-l4" in line and "$0.78 an hour" in line for line in lines)
    assert any(line.startswith("SLO") and "TTFT 2.00 s and TPOT 80 ms for 99 % of requests" in line for line in lines)
    assert any(line.startswith("inferops") and "mode auto, 1 to 6 replicas" in line for line in lines)


def test_what_a_replica_carries_is_where_its_slo_ends() -> None:
    """Just below it one replica meets the SLO, well above it does not."""
    fixed = service(scaling={"mode": "fixed", "replicas": 1})
    carried = float(simulate("--poisson", "1,15m", text=fixed)["facts"]["carries"].split()[0])
    below, above = (
        simulate("--poisson", f"{share * carried},15m", text=fixed)["runs"][0]["attainment"] for share in (0.75, 1.4)
    )
    assert below >= 0.99 > above


def test_check_fails_where_the_slo_is_missed() -> None:
    missed = service(scaling={"minReplicas": 1})
    found = simulate("--poisson", "12,2m", "--check", text=missed, code=1)
    assert found["runs"][0]["attainment"] < found["goal"] == 0.99
    assert "maxReplicas" in found["notes"][0]
    assert simulate("--poisson", "0.2,2m", "--check")["runs"][0]["attainment"] >= 0.99


def test_replicas_follow_a_load_that_one_does_not_carry() -> None:
    found = simulate("--poisson", "5,8m", "--cold-start", "30s", "--replicas", "1")["runs"][0]
    assert found["timeline"]["ready"][0] == 1 and max(found["timeline"]["ready"]) > 1


def test_a_trace_is_replayed_with_its_own_sizes(tmp_path: Path) -> None:
    trace = tmp_path / "azure.csv"
    trace.write_text(
        AZURE + "".join(f"2023-11-16 18:{at // 60:02}:{at % 60:02}.5,{100 + at},20\n" for at in range(200))
    )
    found = simulate("--trace", str(trace))
    assert found["runs"][0]["requests"] == 200
    assert "200 in 3m 19s" in found["facts"]["requests"] and "200 + 20 tokens" in found["facts"]["requests"]
    half = simulate("--trace", str(trace), "--speed", "2", "--duration", "50s", "--prompt-tokens", "64")
    assert "100 in" in half["facts"]["requests"] and "64 + 256 tokens" in half["facts"]["traffic"]


def test_what_a_replica_has_in_its_cache_it_carries_more_of(tmp_path: Path) -> None:
    """Conversations in which each turn repeats what was said, and the same lengths without a word in common."""
    rows = [
        {"timestamp": 500 * at, "input_length": 512 * (at % 8 + 2), "output_length": 60,
         "hash_ids": [1000 * (at // 8) + block for block in range(at % 8 + 2)]}
        for at in range(240)
    ]  # fmt: skip
    carries = []
    for name in ("shared", "apart"):
        for at, row in enumerate(rows):
            row["hash_ids"] = row["hash_ids"] if name == "shared" else [10**6 + at]
        trace = tmp_path / name
        trace.write_text("\n".join(map(json.dumps, rows)))
        carries.append(float(simulate("--trace", str(trace))["facts"]["carries"].split()[0]))
    assert carries[0] > 1.3 * carries[1]


def test_sizes_come_from_another_trace(tmp_path: Path) -> None:
    trace, rates = tmp_path / "azure.csv", tmp_path / "rates.csv"
    trace.write_text(AZURE + "2023-11-16 18:00:00,300,30\n")
    rates.write_text("start_s,requests_per_s\n0,1\n60,2\n120,0\n")
    found = simulate("--rates", str(rates), "--sizes", str(trace))
    assert found["facts"]["requests"].endswith("300 + 30 tokens in the mean")


def test_a_number_that_is_set_is_kept() -> None:
    found = simulate("--poisson", "1,3m", text=service(scaling={"mode": "fixed", "replicas": 3}))["runs"][0]
    assert set(found["timeline"]["ready"]) == {3} and found["changes"] == 0


def test_windows_of_a_schedule_hold_by_the_clock() -> None:
    window = {"cron": "5 8 * * *", "duration": "10m", "minReplicas": 3}
    text = service(scaling={"mode": "schedule", "minReplicas": 1, "maxReplicas": 3, "schedule": [window]})
    words = ("--poisson", "0.5,20m", "--clock", "2026-11-20T08:00:00Z", "--cold-start", "20s")
    timeline = simulate(*words, text=text)["runs"][0]["timeline"]
    by_minute = {int(time // 60): ready for time, ready in zip(timeline["time"], timeline["wanted"], strict=True)}
    assert (by_minute[3], by_minute[8], by_minute[18]) == (1, 3, 1)


def test_a_service_goes_to_zero_between_requests_and_comes_back(tmp_path: Path) -> None:
    rates = tmp_path / "rates.csv"
    rates.write_text("start_s,requests_per_s\n0,0.5\n120,0\n1200,0.5\n1320,0.5\n")
    text = service(
        scaling={"minReplicas": 0, "maxReplicas": 3, "scaleToZeroAfter": "5m"}, traffic={"queueTimeout": "2m"}
    )
    timeline = simulate("--rates", str(rates), "--cold-start", "40s", text=text)["runs"][0]["timeline"]
    assert timeline["ready"][0] > 0 and min(timeline["ready"]) == 0 and timeline["ready"][-1] > 0


class Counted(BaseHTTPRequestHandler):
    """A Prometheus that counted 1 request a second."""

    def do_GET(self) -> None:
        asked = {
            name: float(found[0]) for name, found in parse_qs(urlsplit(self.path).query).items() if name != "query"
        }
        times = range(int(asked["start"]), int(asked["end"]) + 1, int(asked["step"]))
        series = [{"metric": {}, "values": [[time, "1"] for time in times]}]
        body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_what_prometheus_counted_is_drawn_from() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counted)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    range_ = ("--start", "2026-11-20T08:00:00Z", "--end", "2026-11-20T08:04:00Z", "--step", "30s")
    try:
        found = simulate("--prometheus", url, "--query", "sum(rate(requests_total[1m]))", *range_, "--cv", "0")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert found["runs"][0]["requests"] == pytest.approx(270, abs=1)  # nine points of half a minute
    assert "sum(rate(requests_total[1m]))" in found["facts"]["traffic"]


def test_a_terminal_is_shown_how_far_a_run_is() -> None:
    shown = StringIO()
    with Bar(Console(file=shown, force_terminal=True, width=80)) as bar:
        bar.within = "2 of 3: "
        told = bar.begin("hpa", 200)
        assert told is not None
        told(10.0, 100)
    assert "2 of 3: hpa" in shown.getvalue() and "50 %" in shown.getvalue()
    assert Bar(Console(file=StringIO())).begin("hpa", 200) is None


def test_what_is_left_to_others_has_to_be_compared() -> None:
    text = service(scaling={"mode": "external", "maxReplicas": 4})
    assert "--compare hpa" in refused("--poisson", "1,2m", text=text)
    assert [run["policy"] for run in simulate("--poisson", "1,2m", "--compare", "hpa", text=text)["runs"]] == ["hpa"]


def test_nothing_promised_is_said_and_assumed() -> None:
    found = simulate("--poisson", "1,2m", text=service(slo={}))
    assert "spec.slo promises nothing" in found["notes"][0]
    assert found["facts"]["SLO"] == "TTFT 1.00 s and TPOT 50 ms for 99 % of requests"


def test_only_what_is_promised_is_judged() -> None:
    found = simulate("--poisson", "1,2m", text=service(slo={"ttft": "5s", "attainment": 0.9}))
    assert found["facts"]["SLO"] == "TTFT 5.00 s for 90 % of requests" and found["goal"] == 0.9


def test_an_accelerator_of_the_file_without_a_price() -> None:
    text = service(accelerators=[{"type": "ours-x1"}]) + "\n---\n" + ACCELERATOR
    found = simulate("--poisson", "1,2m", text=text)
    assert found["priced"] is False and found["runs"][0]["cost"] is None
    assert any("The price of ours-x1 is not known" in note for note in found["notes"])
    priced = simulate("--poisson", "1,2m", "--price", "2", text=text)["runs"][0]
    assert priced["cost"] == pytest.approx(2 * priced["gpu_hours"])


def test_new_nodes_take_longer() -> None:
    words = ("--poisson", "6,6m", "--replicas", "1", "--cold-start", "load=20s,pull=0s,schedule=0s,warm=0s,node=2m")
    here, elsewhere = (simulate(*words, "--room", room)["runs"][0]["timeline"]["ready"] for room in ("6", "1"))
    assert sum(elsewhere) < sum(here)


def test_the_page_and_the_file_of_json_are_written(tmp_path: Path) -> None:
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    result = invoke("--poisson", "1,3m", "--compare", "kpa", "--html", str(page), "--json", str(data))
    assert result.exit_code == 0 and "Simulation of prod/chat" in result.stdout
    root = ElementTree.fromstring(page.read_text().removeprefix("<!DOCTYPE html>\n"))
    assert [row[0].text for row in root.iter("tr")][1:] == ["inferops", "kpa"]
    assert [run["policy"] for run in json.loads(data.read_text())["runs"]] == ["inferops", "kpa"]


def merged(text: str, patch: str) -> str:
    """A JSON merge patch of the service in a text."""

    def merge(into: Any, change: Any) -> Any:
        if not isinstance(change, dict):
            return change
        kept = dict(into) if isinstance(into, dict) else {}
        for name, value in change.items():
            kept[name] = merge(kept.get(name), value)
            if value is None:
                del kept[name]
        return kept

    return yaml.safe_dump(merge(yaml.safe_load(text), yaml.safe_load(patch)))


@pytest.mark.parametrize(
    ("case", "scaling", "rate"),
    [
        ("too few", {"minReplicas": 1}, "4"),
        ("too many", {"minReplicas": 6, "maxReplicas": 6}, "1"),
        ("a number", {"mode": "fixed", "replicas": 5}, "1"),
        ("a window", {"minReplicas": 5, "maxReplicas": 6, "schedule": [WINDOW]}, "1"),
    ],
)
def test_what_is_suggested_does_what_it_says_once_applied(case: str, scaling: dict[str, Any], rate: str) -> None:
    text = service(scaling=scaling, slo={"ttft": "4s", "tpot": "100ms"})
    words = ("--poisson", f"{rate},4m", "--cold-start", "30s")
    suggestion = simulate(*words, "--suggest", text=text)["suggestion"]
    before, after = suggestion["before"], suggestion["after"]
    assert suggestion["meets"] and after["attainment"] >= 0.99 and suggestion["runs"] <= 25
    assert before["attainment"] < 0.99 or after["cost"] < before["cost"], case
    applied = simulate(*words, text=merged(text, suggestion["patch"]))["runs"][0]
    assert applied["settings"] == after["settings"]
    if yaml.safe_load(suggestion["patch"])["spec"]["scaling"]["mode"] == "fixed":
        assert applied["cost"] == pytest.approx(after["cost"], rel=0.02)
    assert applied["attainment"] >= 0.98


def test_a_suggestion_may_choose_other_accelerators() -> None:
    choices = [{"type": "nvidia-h100-80gb", "count": 2}, {"type": "nvidia-l4"}]
    text = service(accelerators=choices)
    suggestion = simulate("--poisson", "0.3,5m", "--suggest", text=text)["suggestion"]
    assert yaml.safe_load(suggestion["patch"])["spec"]["accelerators"] == [{"type": "nvidia-l4"}]
    assert suggestion["after"]["cost"] < suggestion["before"]["cost"] / 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "no traffic is given: give one of --trace, --rates, --poisson, --prometheus"),
        (("--poisson", "1", "--rates", "x"), "--rates and --poisson are given"),
        (("--poisson", "many"), "--poisson 'many': write requests a second and a time, for example 12,2h"),
        (("--poisson", "1,0s"), "the time must be above 0"),
        (("--poisson", "1,soon"), "write a time, for example 30s"),
        (("--poisson", "1", "--speed", "0"), "--speed 0: must be above 0"),
        (("--poisson", "1", "--scale", "nan"), "--scale nan: must be above 0"),
        (("--poisson", "1", "--duration", "1"), "--duration '1': write a time"),
        (("--poisson", "1", "--cold-start", "boot=3s"), "there are schedule, pull, load, warm, node"),
        (("--poisson", "1,2m", "--compare", "foo"), "--compare 'foo': there are hpa, kpa"),
        (("--poisson", "1", "--query", "up"), "--prometheus and --query go together"),
        (("--poisson", "1", "--step", "1m"), "--step is for --prometheus"),
        (("--poisson", "1", "--price", "-1"), "--price -1: must be 0 or more"),
        (("--poisson", "1", "--clock", "noon"), "--clock 'noon': write a time such as"),
        (("--poisson", "1", "--sizes", "x", "--prompt-tokens", "4"), "exclude each other"),
        (("--poisson", "1", "--sizes", "/nowhere"), "--sizes: /nowhere: No such file or directory; name a file"),
        (("--poisson", "1", "--html", "/nowhere/x.html"), "--html /nowhere/x.html: there is no folder /nowhere"),
        (("--trace", "/nowhere"), "/nowhere: No such file or directory; name a file that can be read"),
        (("--trace", "/nowhere", "--cv", "2"), "--cv is for requests drawn from rates"),
        (("--poisson", "100000,300h"), "more than the 100,000,000 that are simulated at most; take a part of them by"),
        (("--poisson", "0.0001,2s"), "no requests are left"),
        (("--prometheus", "http://127.0.0.1:9", "--query", "up"), "--prometheus: asking it failed"),
    ],
)
def test_bad_options_are_named_with_a_remedy(words: tuple[str, ...], told: str) -> None:
    assert told in refused(*words)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- 1", "expected a mapping with apiVersion, kind and metadata"),
        ("a: [", "-: while parsing"),
        (ACCELERATOR, "there is no InferenceService in it"),
        (service(scaling={"minReplicas": 3, "maxReplicas": 1}), "spec.scaling.maxReplicas: must be at least"),
        (service(accelerators=[{"type": "none"}]), "none"),
        (service(model={"uri": "hf://nobody/knows-7b"}), "nothing is built in about hf://nobody/knows-7b"),
        (service(model={"uri": "hf://meta-llama/Llama-3.3-70B-Instruct"}), "spec.accelerators: "),
        (service(runtime={"name": "triton"}, model={"uri": "s3://models/a"}), "this runtime serves others"),
        (service(runtime={"name": "vllm", "args": ["--max-num-seqs=none"]}), "spec.runtime.args: "),
        (
            service(
                scaling={"maxReplicas": 2, "schedule": [{"cron": "0 25 * * *", "duration": "1h", "minReplicas": 2}]}
            ),
            "schedule",
        ),
        (service() + "\n---\n" + service(), "there are several InferenceServices in it; choose one by --service"),
    ],
)
def test_bad_services_are_named_by_field(text: str, told: str) -> None:
    assert told in refused("--poisson", "1,2m", text=text)


def test_one_of_several_services_is_chosen() -> None:
    other = yaml.safe_dump({**SERVICE, "metadata": {"name": "other"}})
    found = simulate("--poisson", "1,2m", "--service", "other", text=service() + "\n---\n" + other)
    assert found["title"] == "Simulation of default/other"
    assert "there is no such InferenceService in it, but chat" in refused("--poisson", "1,2m", "--service", "none")
