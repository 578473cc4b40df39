"""The commands by which people look at services and act on them, each of whose work is imported only when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    app.command()(why)
    app.command()(diff)


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
