"""`inferops rollout …`: the commands, each of whose work is imported only when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from inferops.cli.options import Context, Kubeconfig, Name, Namespace

if TYPE_CHECKING:
    from inferops.cli.rolloutact import Action

rollout = typer.Typer(name="rollout", help="See how a new revision is rolled out, and act on it.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it has ended.")]
Limit = Annotated[float | None, typer.Option("--timeout", min=0, help="Follow it at most so many seconds.")]
Revision = Annotated[str, typer.Option(help="Hash of the revision that is meant; another one is left alone.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the operator has carried it out.")]
WaitLimit = Annotated[float, typer.Option("--timeout", min=0, help="Wait at most so many seconds.")]

CODES = """Exit codes:
0: done, or asked for
2: nothing to act on, or an error
4: not carried out in time, with --wait"""


@rollout.command()
def status(
    name: Name,
    namespace: Namespace = None,
    watch: Watch = False,
    as_json: Json = False,
    timeout: Limit = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show where the rollout of NAME is, and the evidence; live with --watch in a terminal.

    Exit codes:
    0: it has ended well, or there is none
    1: rolled back
    2: an error, such as a spec that cannot be served
    3: it waits for somebody: paused, or at a manual gate
    4: under way

    --watch ends by itself with 0, 1 and 2; when --timeout is over, with the code of that moment.
    """
    from inferops.cli.access import located
    from inferops.cli.rolloutfollow import status as show

    if timeout is not None and not watch:
        raise typer.BadParameter("goes with --watch only; add --watch", param_hint="--timeout")
    raise typer.Exit(show(name, located(namespace, kubeconfig, context), watch=watch, as_json=as_json, limit=timeout))


@rollout.command()
def history(
    name: Name,
    namespace: Namespace = None,
    as_json: Json = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the rollouts of NAME that have ended and why, and the revisions that are rejected."""
    from inferops.cli.access import located
    from inferops.cli.rollouthistory import history as show

    raise typer.Exit(show(name, located(namespace, kubeconfig, context), as_json=as_json))


def _action(action: Action, help_: str) -> None:
    def command(
        name: Name,
        namespace: Namespace = None,
        revision: Revision = "",
        wait: Wait = False,
        timeout: WaitLimit = 60.0,
        context: Context = None,
        kubeconfig: Kubeconfig = None,
    ) -> None:
        from inferops.cli.access import located
        from inferops.cli.rolloutact import act

        raise typer.Exit(
            act(action, name, located(namespace, kubeconfig, context), revision, timeout if wait else None)
        )

    rollout.command(action, help=f"{help_}\n\n{CODES}")(command)


_action("promote", "Give the canary all requests now, skipping the steps, analysis and gates that are left.")
_action("pause", "Hold the rollout where it is until somebody resumes. Guardrails still roll it back.")
_action("resume", "Go on from a pause, or open the manual gate that the rollout waits at.")
_action("abort", "Roll the canary back; after a promotion, go back to the previous revision while it is kept.")
_action("retry", "Take a revision off the list of the rejected, and roll it out anew where the spec asks for it.")
