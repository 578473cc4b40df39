"""Decides whether an image can be pulled: every one can, but those that a test says cannot."""

from __future__ import annotations

from fnmatch import fnmatchcase


class Images:
    """The registry as the nodes see it."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def fail(self, glob: str) -> None:
        """Let pulls of images whose name matches `glob` fail from now on."""
        self._failing.add(glob)

    def allow(self, glob: str) -> None:
        """Take back `fail` with the same glob. Raises KeyError when there was none."""
        self._failing.remove(glob)

    def obstacle(self, image: str) -> str | None:
        """Why `image` cannot be pulled; None when it can."""
        if any(fnmatchcase(image, glob) for glob in self._failing):
            return f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": not found'
        return None
