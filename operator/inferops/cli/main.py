"""The commands of `inferops`, each in a module of its own, imported only when it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar, cast

import typer

from inferops.cli import plugin
from inferops.cli.engine import engine
from inferops.cli.options import Context, Kubeconfig, Name, Namespace
from inferops.cli.rollout import rollout
from inferops.cli.simulatecommand import simulate

app = typer.Typer(
    name="inferops",
    help="inferops: inference on Kubernetes, by one resource.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

G = TypeVar("G")
R = TypeVar("R")

HubOption = Annotated[
    str, typer.Option(envvar="HF_ENDPOINT", help="Hub to ask about models that are not built in; off: none.")
]
HUB = "https://huggingface.co"
LogFormat = Annotated[Literal["text", "json"], typer.Option(help="A line of text, or a JSON object a line.")]
WatchNamespace = Annotated[
    list[str] | None,
    typer.Option(
        envvar="INFEROPS_WATCH_NAMESPACES",
        help="Serve this namespace and no other. More with commas, or again.",
        show_default="all namespaces",
    ),
]


def _asked(hub: str) -> str | None:
    return None if hub in ("", "off") else hub


def _option(name: str, read: Callable[[G], R], given: G) -> R:
    """An option as it is read. What is wrong with it ends the command, with a sentence that names the option."""
    try:
        return read(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error


@app.command()
def run(
    kubeconfig: Kubeconfig = None,
    lease_namespace: Annotated[
        str, typer.Option(envvar="POD_NAMESPACE", help="Namespace of the Lease: that of the operator.")
    ] = "inferops-system",
    workers: Annotated[int, typer.Option(min=1, max=256, help="Reconciles at a time.")] = 32,
    address: Annotated[str, typer.Option(help="Address of /healthz, /readyz and /metrics.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Their port; 0 for none.")] = 8080,
    hub: HubOption = HUB,
    gateway: Annotated[
        str, typer.Option(envvar="INFEROPS_GATEWAY", help="NAMESPACE/NAME of the Gateway of services that name none.")
    ] = "",
    webhook_hosts: Annotated[
        list[str] | None,
        typer.Option(
            envvar="INFEROPS_WEBHOOK_HOSTS",
            help="Hosts of gates' webhooks, such as *.svc or hooks.example.com; off: none. More with commas, or again.",
            show_default="*.svc,*.svc.cluster.local",
        ),
    ] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option(
            envvar="INFEROPS_NOTIFY",
            help="Who is told of rollouts, json=URL or slack=URL. Rather by the variable: whoever knows one may post.",
        ),
    ] = None,
    prometheus: Annotated[
        str, typer.Option(envvar="INFEROPS_PROMETHEUS", help="URL of a Prometheus that scrapes the engines.")
    ] = "",
    member_suspect_after: Annotated[
        str, typer.Option(help="For how long a member cluster may be silent until nothing new is placed there.")
    ] = "30s",
    member_lost_after: Annotated[
        str, typer.Option(help="For how long, until it counts as lost where its gateways do not answer either.")
    ] = "5m",
    member_stable_after: Annotated[
        str, typer.Option(help="For how long one that is back has to answer until it counts again.")
    ] = "30s",
    clusterprofile_provider_file: Annotated[
        str, typer.Option(help="JSON with the commands that log in to clusters of ClusterProfiles, by provider.")
    ] = "",
    watch_namespace: WatchNamespace = None,
    otlp_endpoint: Annotated[
        str,
        typer.Option(
            envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
            help="URL of a collector that gets a trace of each reconcile, by OTLP over HTTP.",
            show_default="none",
        ),
    ] = "",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_format: LogFormat = "text",
) -> None:
    """Run the operator, until SIGTERM."""
    from inferops.cli.run import endpoint_in, gateway_in, hosts_in, patience_in, prometheus_in, providers_in
    from inferops.cli.run import run as run_operator
    from inferops.controller.notify import receivers_in
    from inferops.controller.operator import Options
    from inferops.kube.scope import namespaces_in

    default = _option("--gateway", gateway_in, gateway)
    hosts = _option("--webhook-hosts", hosts_in, webhook_hosts or ())
    receivers = _option("--notify", receivers_in, notify or ())
    server = _option("--prometheus", prometheus_in, prometheus)
    silences = (member_suspect_after, member_lost_after, member_stable_after)
    providers = _option("--clusterprofile-provider-file", providers_in, clusterprofile_provider_file)
    told = hosts, receivers, server, _option("--member-*-after", patience_in, silences), providers
    served = _option("--watch-namespace", namespaces_in, watch_namespace or ())
    options = Options(lease_namespace, kubeconfig, workers, address, port, _asked(hub), default, *told, served)
    collector = _option("--otlp-endpoint", endpoint_in, otlp_endpoint)
    raise typer.Exit(run_operator(options, log_level, log_format, collector))


@app.command()
def gateway(
    kubeconfig: Kubeconfig = None,
    namespace: Annotated[
        str, typer.Option(envvar="POD_NAMESPACE", help="Namespace of the gateways themselves.")
    ] = "inferops-system",
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for requests.")] = 8080,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of /metrics, /demand, /healthz and /readyz.")
    ] = 9090,
    from_files: Annotated[
        list[Path] | None, typer.Option(help="Resources in YAML, or folders of them, in place of a cluster's.")
    ] = None,
    access_log: Annotated[str, typer.Option(help="all, errors or off: which requests are told on stdout.")] = "all",
    drain_delay: Annotated[float, typer.Option(min=0, help="Seconds to take requests for after SIGTERM.")] = 5.0,
    drain_timeout: Annotated[float, typer.Option(min=0, help="Seconds that streams then get to finish.")] = 300.0,
    host: Annotated[
        list[str] | None, typer.Option(help="A name under which all services are reached: no service can claim it.")
    ] = None,
    watch_namespace: WatchNamespace = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    log_format: LogFormat = "text",
) -> None:
    """Run the built-in gateway, until SIGTERM."""
    from inferops.cli.gateway import gateway as run_gateway
    from inferops.gateway.process import Options
    from inferops.kube.scope import namespaces_in

    if access_log not in ("all", "errors", "off"):
        raise typer.BadParameter(f"{access_log!r} is none of all, errors, off", param_hint="--access-log")
    files, mode = tuple(from_files or ()), cast(Literal["all", "errors", "off"], access_log)
    ends = drain_delay, drain_timeout
    served = _option("--watch-namespace", namespaces_in, watch_namespace or ())
    options = Options(namespace, kubeconfig, address, port, metrics_port, files, mode, *ends, tuple(host or ()), served)
    raise typer.Exit(run_gateway(options, log_level, log_format))


@app.command()
def render(
    file: Annotated[Path, typer.Argument(help="Resources in YAML; - for standard input.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="For resources that name none.")] = "default",
    scaler: Annotated[
        Literal["hpa", "keda"] | None,
        typer.Option(help="Print, instead, what scales the services of mode external, to be applied beside FILE."),
    ] = None,
    prometheus: Annotated[str, typer.Option(help="URL at which KEDA asks Prometheus.")] = "",
    counted: Annotated[
        Literal["gateway", "engine"] | None,
        typer.Option(help="Whose metrics a scaler goes by; left out: the gateway's, where requests pass it."),
    ] = None,
) -> None:
    """Print the objects that applying FILE would create, as YAML. Needs no cluster."""
    from inferops.cli.render import render as render_file
    from inferops.cli.run import prometheus_in
    from inferops.cli.scaler import Wish, render_scalers

    if scaler is None:
        if prometheus or counted:
            raise typer.BadParameter("is for --scaler", param_hint="--prometheus" if prometheus else "--counted")
        raise typer.Exit(render_file(file, namespace))
    wish = Wish(scaler, _option("--prometheus", prometheus_in, prometheus), counted)
    raise typer.Exit(render_scalers(file, namespace, wish))


@app.command()
def size(
    model: Annotated[str, typer.Argument(help="hf://ORG/MODEL, ORG/MODEL, its name, or a path to a config.json.")],
    gpu: Annotated[list[str] | None, typer.Option(help="Only accelerators of this name, or part of it.")] = None,
    slo: Annotated[str, typer.Option(help="Limits on mean latencies, for example ttft=800ms,tpot=50ms.")] = "",
    context: Annotated[int | None, typer.Option(min=1, help="Longest context; else the model's own limit.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once, over all replicas.")] = 16,
    prompt: Annotated[int, typer.Option(min=1, help="Tokens of a usual prompt.")] = 1024,
    output: Annotated[int, typer.Option(min=1, help="Tokens of a usual answer.")] = 256,
    quantization: Annotated[str, typer.Option(help="auto, fp8, int8, awq, gptq, nvfp4; else the checkpoint's.")] = "",
    runtime: Annotated[str, typer.Option(help="The ServingRuntime that will serve it.")] = "vllm",
    config: Annotated[Path | None, typer.Option(help="The model's config.json.")] = None,
    hub: HubOption = HUB,
    file: Annotated[list[Path] | None, typer.Option("--file", "-f", help="Accelerators in YAML.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every option and rejection.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which accelerators would serve MODEL, ranked by cost, and why others will not do. Needs no cluster."""
    from inferops.cli.size import Question, answer

    gpus, files = tuple(gpu or ()), tuple(file or ())
    question = Question(
        model, config, gpus, files, slo, context, concurrency, prompt, output, quantization, runtime, _asked(hub)
    )
    raise typer.Exit(answer(question, everything=everything, as_json=as_json))


@app.command()
def convert(
    files: Annotated[list[Path], typer.Argument(help="Resources in YAML or JSON; - for standard input.")],
    accelerator: Annotated[
        list[str] | None,
        typer.Option(help="The Accelerator of what names none, TYPE, or that of a KubeAI profile, PROFILE=TYPE."),
    ] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="For resources that name none.")] = "",
    report: Annotated[
        Literal["table", "json", "off"], typer.Option(help="How stderr tells what became of every field.")
    ] = "table",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where something was not carried over.")] = False,
) -> None:
    """Turn resources of KServe and KubeAI into ours, and say what became of every field. Needs no cluster."""
    from inferops.cli.convert import options_in, run

    options = _option("--accelerator", lambda given: options_in(given, namespace), accelerator or ())
    raise typer.Exit(run(files, options, report, strict=strict))


@app.command()
def status(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show one service: its conditions, revisions and pods, and what it waits for.

    Exit codes:
    0: it is Ready
    1: it is not
    2: it cannot be read
    """
    from inferops.cli.access import located
    from inferops.cli.status import status as show_status

    raise typer.Exit(show_status(name, located(namespace, kubeconfig, context)))


plugin.add_to(app)
app.command()(engine)
app.command()(simulate)
app.add_typer(rollout)


def kubectl() -> None:
    """The same as `kubectl inferops`: kubectl runs the program kubectl-inferops."""
    app(prog_name="kubectl inferops")


if __name__ == "__main__":
    app()
