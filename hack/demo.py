"""`make demo`: the main job from start to end on a real control plane, as a user would see it.

Starts a cluster with GPU nodes, the operator and the gateway, applies a sample with kubectl, follows it to Ready, has
the gateway stream an answer, lets the service go to zero and wakes it with a request, rolls a good version out and has
a bad one roll itself back, damages children and shows them repaired, deletes the service and shows that nothing is
left. With --keep it stays up before the deletion, and `make cluster` opens a shell in it.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
import urllib.request

from rich.console import Console

from controlplane import BenchError, Cluster, enter, find_binaries
from controlplane.holder import holding
from demo_rollout import rollouts
from harness import (
    ROOT,
    GatewayProcess,
    OperatorProcess,
    environ,
    gpu_nodes,
    install,
    install_gateway,
    wait_until,
)

SAMPLE = ROOT / "manifests" / "samples" / "llama-8b.yaml"
NAME = "llama-8b"
CHILDREN = "deployments,services,endpointslices,poddisruptionbudgets,controllerrevisions,pods"
MINE = f"inferops.dev/service={NAME}"
NODES = "2x8xnvidia-h100-80gb,1x8xnvidia-h200,1x4xnvidia-l4"
CHAT = {
    "model": NAME,
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    "max_tokens": 48,
}
TO_ZERO = {"minReplicas": 0, "scaleToZeroAfter": "3s"}
COLUMNS = (
    "-o=custom-columns=NAME:.metadata.name,GPUS:.status.allocatable.nvidia\\.com/gpu,"
    "PRODUCT:.metadata.labels.nvidia\\.com/gpu\\.product"
)

console = Console(highlight=False, soft_wrap=True)


def step(text: str) -> None:
    console.print(f"\n[bold cyan]==>[/] [bold]{text}[/]")


def show(cluster: Cluster, *args: str, input: str | None = None) -> str:
    """Run kubectl, showing the command and what it says."""
    console.print(f"[dim]$ kubectl {' '.join(args)}[/]")
    answer: str = cluster.kubectl(*args, input=input)
    console.print(answer.rstrip(), markup=False)
    return answer


def follow(cluster: Cluster, timeout: float = 120) -> None:
    """Print the service's line whenever it changes, until it is Ready."""
    last, started = "", time.monotonic()
    path = '{.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}'
    while time.monotonic() - started < timeout:
        now = cluster.kubectl("get", "infs", NAME, "-o", f"jsonpath={path}")
        if now != last:
            ready, _, message = now.partition(" ")
            console.print(f"  {time.monotonic() - started:5.1f} s  Ready={ready or '?'}  {message}", markup=False)
            last = now
        if now.startswith("True"):
            return
        time.sleep(0.2)
    raise TimeoutError(f"{NAME} is not Ready within {timeout:.0f} s")


def ask(gateway: GatewayProcess, **more: object) -> urllib.request.Request:
    """A chat completion by the model's name, shown as a command."""
    body = json.dumps({**CHAT, **more})
    console.print(f"[dim]$ curl http://inferops-gateway.inferops-system/v1/chat/completions -d[/] '{body}'")
    headers = {"Content-Type": "application/json"}
    return urllib.request.Request(f"{gateway.url}/v1/chat/completions", body.encode(), headers)


def stream(gateway: GatewayProcess) -> None:
    """Have an answer streamed, and show its words as they come."""
    with urllib.request.urlopen(ask(gateway, stream=True), timeout=60) as answer:
        for line in answer:
            data = line.decode().removeprefix("data: ").strip()
            choices = json.loads(data)["choices"] if data.startswith("{") else ()
            for choice in choices:
                console.print(choice["delta"].get("content", ""), end="", style="green", markup=False)
    console.print()


def zero_and_back(cluster: Cluster, gateway: GatewayProcess) -> None:
    """Let the service go to zero for want of requests, and wake it with one."""
    show(cluster, "patch", "infs", NAME, "--type=merge", "-p", json.dumps({"spec": {"scaling": TO_ZERO}}))
    took = wait_until("zero replicas", lambda: not ready_pods(cluster), 90)
    console.print(f"no pod answers any more after {took:.1f} s")
    show(cluster, "get", "infs", NAME)
    started = time.monotonic()
    with urllib.request.urlopen(ask(gateway), timeout=60) as answer:
        content = json.load(answer)["choices"][0]["message"]["content"]
    console.print(f"[green]{content}[/]\nanswered after {time.monotonic() - started:.1f} s, of which the model loads 6")
    show(cluster, "patch", "infs", NAME, "--type=merge", "-p", json.dumps({"spec": {"scaling": None}}))
    follow(cluster)


def told(gateway: GatewayProcess) -> None:
    """Show some of what the gateway counted."""
    wanted = ("_time_to_first_token_seconds_sum", "_output_tokens_total{", "_requests_total{", "_replica_price")
    lines = gateway.get("/metrics")[1].splitlines()
    for line in lines:
        if not line.startswith("#") and any(word in line for word in wanted) and not line.endswith(" 0"):
            console.print(f"  {line}", markup=False)


def inferops(cluster: Cluster, *args: str) -> None:
    """Run a command of the product."""
    console.print(f"[dim]$ inferops {' '.join(args)}[/]")
    command = [sys.executable, "-m", "inferops", *args, "--kubeconfig", str(cluster.kubeconfig)]
    subprocess.run(command, check=False, timeout=60, env=environ())


def ready_pods(cluster: Cluster) -> set[str]:
    """Names of the service's pods that answer."""
    path = '{range .items[?(@.status.containerStatuses[0].ready==true)]}{.metadata.name}{"\\n"}{end}'
    return set(cluster.kubectl("get", "pods", "-l", MINE, "-o", f"jsonpath={path}").split())


def repair(cluster: Cluster) -> None:
    """Damage two children by hand and show that they come back, and that the pod was not touched."""
    before = ready_pods(cluster)
    revision = cluster.kubectl("get", "infs", NAME, "-o", "jsonpath={.status.stableRevision}")
    own = f"{NAME}-{revision}"
    show(cluster, "patch", "service", own, "-p", '{"spec":{"selector":{"inferops.dev/revision":"nonsense"}}}')
    show(cluster, "delete", "poddisruptionbudget", own)

    def repaired() -> bool:
        path = "jsonpath={.spec.selector.inferops\\.dev/revision}"
        selector = cluster.kubectl("get", "service", own, "-o", path)
        budget = cluster.kubectl("get", "pdb", own, "-o", "name", "--ignore-not-found")
        return selector == revision and bool(budget.strip())

    took = wait_until("the children repaired", repaired, 30)
    console.print(f"both are back after {took:.1f} s; pods untouched: {ready_pods(cluster) == before}")
    show(cluster, "get", "service,poddisruptionbudget", "-l", MINE)


def delete(cluster: Cluster) -> None:
    """Delete the service and show that its children are gone with it."""
    show(cluster, "delete", "-f", str(SAMPLE))
    wait_until("nothing left", lambda: not cluster.kubectl("get", CHILDREN, "-l", MINE, "-o", "name").strip(), 120, 0.5)
    show(cluster, "get", CHILDREN, "-l", MINE)


def wait_for_the_end() -> None:
    """Until Ctrl-C or SIGTERM. Blocked no sooner than here: processes that we start would inherit it."""
    ends = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def play(cluster: Cluster, keep: bool) -> None:
    step("Install: CRDs, namespace, ServiceAccount and RBAC")
    install(cluster)
    step("GPU nodes")
    with gpu_nodes(cluster, NODES, "--load-seconds", "6"):
        show(cluster, "get", "nodes", COLUMNS)
        step("The operator, as its own ServiceAccount")
        with OperatorProcess(cluster) as operator:
            wait_until("the operator leads", operator.leads, 30)
            console.print(f"pid {operator.process.pid}, {operator.rss() // 2**20} MiB, log {operator.log}")
            step("Apply the sample")
            console.print(SAMPLE.read_text().rstrip(), style="green", markup=False)
            cluster.kubectl("create", "secret", "generic", "hf-token", "--from-literal=HF_TOKEN=not-a-real-token")
            show(cluster, "apply", "-f", str(SAMPLE))
            follow(cluster)
            show(cluster, "wait", "--for=condition=Ready", f"infs/{NAME}", "--timeout=10s")
            show(cluster, "get", "infs", NAME)
            show(cluster, "get", CHILDREN, "-l", MINE)
            inferops(cluster, "status", NAME)
            step("The gateway: an answer as it is generated")
            install_gateway(cluster)
            with GatewayProcess(cluster, 0) as gateway:
                stream(gateway)
                step("To zero replicas without requests, and back with one")
                zero_and_back(cluster, gateway)
                step("Under traffic: a good version is promoted, a bad one is rolled back by itself")
                rollouts(cluster, gateway, NAME, show, inferops)
                step("What the gateway counted")
                told(gateway)
            step("Damage by hand is repaired")
            repair(cluster)
            if keep:
                step("It stays up: `make cluster` in another terminal opens a shell in it; Ctrl-C here ends it")
                wait_for_the_end()
            step("Delete")
            delete(cluster)
            console.print("\n[bold green]done[/]")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="stay up before the deletion, until Ctrl-C")
    keep = parser.parse_args().keep
    started = time.monotonic()
    try:
        step("A real control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler")
        if keep:
            with holding(1) as clusters:
                play(clusters[0], keep)
        else:
            binaries = find_binaries()
            enter()
            with Cluster("demo", binaries=binaries) as cluster:
                play(cluster, keep)
    except (BenchError, TimeoutError, RuntimeError) as error:
        console.print(f"\n[bold red]{error}[/]", markup=True)
        return 1
    console.print(f"in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
