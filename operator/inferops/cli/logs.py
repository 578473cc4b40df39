"""The logs of our processes: one form, as text or as JSON, a level by its name, and no secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from inferops.kube.doing import now_doing

Form = Literal["text", "json"]

TEXT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
LEAST = 6  # characters of a secret that is looked for: what is shorter stands in many a word
HIDDEN = "[hidden]"
# What lets somebody in, wherever it comes from: a token with its scheme, a JWT, a password in a URL, and a URL's query.
SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"(?i)(https?://)[^\s/@'\"]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(?i)(https?://[^\s'\"?]+\?)[^\s'\"]+"), rf"\1{HIDDEN}"),
)


def set_up(name: str, form: Form = "text", hide: Iterable[str] = ()) -> int | None:
    """Log from the level of this name on, in this form. `hide`: texts that never appear, such as a webhook's URL.
    Returns the level; None where there is no such level, which is said."""
    level = logging.getLevelNamesMapping().get(name.upper())
    if level is None:
        print(f"--log-level: {name!r} is none of debug, info, warning, error", file=sys.stderr)
        return None
    handler = logging.StreamHandler()
    handler.setFormatter((AsJson if form == "json" else AsText)(hide))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(level)
    return level


class AsText(logging.Formatter):
    """A line for people, and a stack below it where there is one."""

    def __init__(self, hide: Iterable[str] = ()) -> None:
        super().__init__(TEXT)
        self._hide = tuple(each for each in hide if len(each) >= LEAST)

    def format(self, record: logging.LogRecord) -> str:
        return self.shown(super().format(record))

    def shown(self, text: str) -> str:
        """The same without what is to be hidden."""
        for each in self._hide:
            text = text.replace(each, HIDDEN)
        for pattern, instead in SECRETS:
            text = pattern.sub(instead, text)
        return text


class AsJson(AsText):
    """One object a line: ts, level, logger, msg, what was worked on, and the error with its stack."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": self.shown(record.getMessage()),
            **_of_kopf(record),
            **now_doing(),
        }
        if record.exc_info and (error := record.exc_info[1]) is not None:
            told = {"type": type(error).__name__, "message": str(error), "stack": self.formatException(record.exc_info)}
            said["error"] = {name: self.shown(text) for name, text in told.items()}
        return json.dumps(said, ensure_ascii=False)


def _of_kopf(record: logging.LogRecord) -> dict[str, str]:
    """The object that a line of kopf's is about."""
    about = getattr(record, "k8s_ref", None)
    if not isinstance(about, dict):
        return {}
    return {name: str(about[name]) for name in ("kind", "namespace", "name") if about.get(name)}
