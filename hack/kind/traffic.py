"""Requests to the gateway from a few threads, and what became of them."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from types import TracebackType
from typing import Self

TIMEOUT = 30.0
AT_ONCE = 8


class Traffic:
    """Chat completions of one model at `url`, from the start of the block to its end. `seen` counts status codes; 0 is
    no answer."""

    def __init__(self, url: str, model: str, pause: float = 0.1) -> None:
        self.seen: Counter[int] = Counter()
        self._url, self._model, self._pause = f"{url}/v1/chat/completions", model, pause
        self._ended = threading.Event()
        self._counting = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(AT_ONCE)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for each in self._threads:
            each.join(TIMEOUT)

    @property
    def lost(self) -> int:
        """How many requests were not answered as they should have been."""
        return self.seen.total() - self.seen[200]

    def ask(self) -> int:
        """One request. Returns its status; 0 without an answer."""
        body = {"model": self._model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, json.dumps(body).encode(), head)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                answer.read()
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def _run(self) -> None:
        while not self._ended.is_set():
            status = self.ask()
            with self._counting:
                self.seen[status] += 1
            self._ended.wait(self._pause)
