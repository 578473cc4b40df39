"""The options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="Name of the InferenceService.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the service.")]
Kubeconfig = Annotated[str | None, typer.Option(envvar="KUBECONFIG", help="Kubeconfig; in a pod: its ServiceAccount.")]
