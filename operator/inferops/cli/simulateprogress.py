"""How far simulated runs are, on stderr where that is a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from inferops.cli.simulatebench import Told


class Bar:
    """A bar for the run that is under way. To be used with `with`; shows nothing where nobody watches."""

    def __init__(self, console: Console | None = None) -> None:
        """`console`: another than stderr."""
        console = console or Console(stderr=True)
        self.within = ""  # what the runs are part of
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", visible=False)

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, name: str, requests: int) -> Told | None:
        """A run of so many requests begins; what is to be told how far it is. None: nobody watches."""
        if self._bar.disable:
            return None
        described = f"{self.within}{name}"
        self._bar.reset(self._task, total=max(1, requests), description=described, visible=True)
        return lambda time, done: self._bar.update(self._task, completed=done)
