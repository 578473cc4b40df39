"""The options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Name = Annotated[str, typer.Argument(help="Name of the InferenceService.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace of the service; left out: the context's.")
]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; left out: the current one.")]
Kubeconfig = Annotated[str | None, typer.Option(envvar="KUBECONFIG", help="Kubeconfig; in a pod: its ServiceAccount.")]
Output = Literal["table", "wide", "json", "yaml"]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How it is shown.")]
Document = Literal["text", "json", "yaml"]
DocumentOption = Annotated[Document, typer.Option("--output", "-o", help="How it is shown.")]
