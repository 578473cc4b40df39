"""The commands by which people look at services and act on them, each of whose work is imported only when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from inferops.cli.options import (
    Context,
    DocumentOption,
    Everywhere,
    Kubeconfig,
    Name,
    Namespace,
    OutputOption,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="list")(list_)
    for command in (why, diff, scale, cost, top, logs, version):
        app.command()(command)


def list_(
    namespace: Namespace = None,
    everywhere: Everywhere = False,
    output: OutputOption = "table",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show all services: whether they are ready, what serves, and what it costs.

    Replicas are those that are ready of those that are wanted; US dollars an hour are of those wanted.
    """
    from inferops.cli.access import located
    from inferops.cli.listing import list_ as show

    raise typer.Exit(show(located(namespace, kubeconfig, context, everywhere=everywhere), output))


def why(
    name: Name,
    cluster: Annotated[str, typer.Option(help="Explain why it is, or is not, in this InferenceCluster.")] = "",
    namespace: Namespace = None,
    output: DocumentOption = "text",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Explain why NAME is not as asked for: pending, not scaled, rolled back, held, invalid, not routed, not placed.

    Exit codes:
    0: nothing is wrong
    1: something is
    2: it cannot be read
    """
    from inferops.cli.access import located
    from inferops.cli.why.ask import why as explain

    raise typer.Exit(explain(name, located(namespace, kubeconfig, context), cluster, output))


def diff(
    file: Annotated[Path, typer.Option("--file", "-f", help="Resources in YAML; - for standard input.")],
    objects: Annotated[bool, typer.Option("--objects", help="Show also how the objects that are made differ.")] = False,
    namespace: Namespace = None,
    output: DocumentOption = "text",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what applying FILE would change: fields, revisions, how these are rolled out, GPUs and cost.

    The API server is asked and changes nothing; what it refuses is shown as it says it.

    Exit codes:
    0: nothing would change
    1: something would
    2: an error, or the API server refuses it
    """
    from inferops.cli.access import located
    from inferops.cli.diff.ask import diff as show

    raise typer.Exit(show(file, located(namespace, kubeconfig, context), with_objects=objects, output=output))


def scale(
    name: Name,
    replicas: Annotated[int | None, typer.Option(min=0, max=1000, help="So many, until --auto.")] = None,
    least: Annotated[int | None, typer.Option("--min", min=0, max=1000, help="Never fewer than this.")] = None,
    most: Annotated[int | None, typer.Option("--max", min=1, max=1000, help="Never more than this.")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Let scaling decide again.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Keep the number there is, until --auto.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and have it checked.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Set how many replicas NAME has: a number, or bounds between which scaling decides.

    Exit codes:
    0: written, or so already
    2: refused, or an error
    """
    from inferops.cli.access import located
    from inferops.cli.scale import Asked
    from inferops.cli.scale import scale as set_scale

    asked = Asked(replicas, least, most, auto, hold)
    raise typer.Exit(set_scale(name, located(namespace, kubeconfig, context), asked, dry_run=dry_run))


Gateway = Annotated[
    str, typer.Option("--gateway-service", help="NAMESPACE/NAME of the gateways' Service, whose pods are asked.")
]
Urls = Annotated[
    list[str] | None,
    typer.Option("--gateway", help="URL of a gateway's metrics, in place of those of the cluster; again for more."),
]
Optionally = Annotated[str, typer.Argument(help="Name of the InferenceService; left out: all.", show_default=False)]
SERVICE = "inferops-system/inferops-gateway"


def _gateway(text: str) -> tuple[str, str]:
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise typer.BadParameter(f"{text!r}: write NAMESPACE/NAME, such as {SERVICE}", param_hint="--gateway-service")
    return namespace, name


def cost(
    name: Optionally = "",
    by: Annotated[
        Literal["service", "namespace", "accelerator", "cluster"], typer.Option(help="What is added up.")
    ] = "service",
    over: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds over which tokens are counted; 0: they are not.")
    ] = 5.0,
    gateway_service: Gateway = SERVICE,
    gateway: Urls = None,
    namespace: Namespace = None,
    everywhere: Everywhere = False,
    output: OutputOption = "table",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what services cost: an hour, a month, how much is idle, and a million tokens at the load there is."""
    from inferops.cli.access import located
    from inferops.cli.cost import cost as show

    where = located(namespace, kubeconfig, context, everywhere=_all(name, everywhere))
    raise typer.Exit(show(name, where, by, _gateway(gateway_service), tuple(gateway or ()), over=over, output=output))


def top(
    name: Optionally = "",
    once: Annotated[bool, typer.Option("--once", help="Show it once, as where the output is no terminal.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, max=600, help="Seconds between two looks.")] = 2.0,
    gateway_service: Gateway = SERVICE,
    gateway: Urls = None,
    namespace: Namespace = None,
    everywhere: Everywhere = False,
    output: OutputOption = "table",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what services do now: requests, latencies, errors, tokens, KV cache, replicas.

    By the built-in gateways' metrics, else by the engines', through the API server: that takes the right to get
    pods/proxy.
    """
    from inferops.cli.access import located
    from inferops.cli.top import top as show

    where = located(namespace, kubeconfig, context, everywhere=_all(name, everywhere))
    urls = tuple(gateway or ())
    raise typer.Exit(show(name, where, _gateway(gateway_service), urls, once=once, interval=interval, output=output))


def _all(name: str, everywhere: bool) -> bool:
    if name and everywhere:
        raise typer.BadParameter("names no namespace: give -n NAMESPACE with NAME", param_hint="-A")
    return everywhere


def logs(
    name: Name,
    revision: Annotated[str, typer.Option(help="stable, canary, or a hash or its beginning.")] = "",
    replica: Annotated[
        int | None, typer.Option(min=0, help="The replica with this number, as its lines have it.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow them, those of new pods too.")] = False,
    since: Annotated[str, typer.Option(help="Only lines that are newer than this, for example 10m.")] = "",
    previous: Annotated[bool, typer.Option("--previous", "-p", help="Of the containers before a restart.")] = False,
    tail: Annotated[int, typer.Option(min=-1, help="So many of the last lines of each pod; -1: all.")] = -1,
    container: Annotated[str, typer.Option("--container", "-c", help="The container.")] = "engine",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what the engines of NAME say, each line with its revision and replica.

    Exit codes:
    0: some pod was there
    1: none was
    2: an error
    """
    from inferops.api.formats import seconds
    from inferops.cli.access import located
    from inferops.cli.podlogs import Asked
    from inferops.cli.podlogs import logs as show

    if follow and previous:
        raise typer.BadParameter("has ended, and cannot be followed", param_hint="--previous")
    try:
        age = str(max(1, round(seconds(since)))) if since else ""
    except ValueError:
        raise typer.BadParameter(f"{since!r}: write a time such as 90s, 10m or 2h", param_hint="--since") from None
    asked = Asked(revision, replica, follow, age, previous, tail, container)
    raise typer.Exit(show(name, located(namespace, kubeconfig, context), asked))


def version(output: DocumentOption = "text", context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Show which version this is, and those of the cluster's CRDs, operator and gateways."""
    from inferops.cli.access import located
    from inferops.cli.version import version as show

    raise typer.Exit(show(located("default", kubeconfig, context), output))
