"""API keys of a service's clients, known by their SHA-256 only."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

SHORTEST = 16  # characters of a key: shorter ones are guessed
HASHED = "sha256:"
_HEX = re.compile(r"[0-9a-f]{64}")
_SENDABLE = re.compile(r"[!-~]+")  # what fits into an Authorization header as one word
_NOTHING = hashlib.sha256(b"").digest()
_NOBODY = (bytes(32), None)  # compared with like any other


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Who is who by API key. Holds digests, never a key, and shows neither."""

    problems: tuple[str, ...] = ()  # entries that are left out and why, one sentence each, without their values
    _clients: Mapping[bytes, tuple[bytes, str]] = field(default_factory=dict)  # digest and name, by digest

    @classmethod
    def of(cls, data: Mapping[str, bytes | str]) -> Self:
        """From a Secret's data, base64 undone: client's name to its key, or to `sha256:` and the key's digest in hex.

        White space around a value is left out: files that Secrets are made from end with a newline. An entry that
        cannot be a key is left out and told among `problems`; the others work.
        """
        clients: dict[bytes, tuple[bytes, str]] = {}
        problems: list[str] = []
        for client, value in sorted(data.items()):
            digest, problem = _digest(value)
            if digest is None:
                problems.append(f"{client}: {problem}")
            elif digest in clients:
                problems.append(f"{client}: has the API key of {clients[digest][1]}; give each client a key of its own")
            else:
                clients[digest] = (digest, client)
        return cls(tuple(problems), clients)

    def client(self, presented: str) -> str | None:
        """Whose key this is; None: nobody's. How long it takes tells nothing of how near a guess came."""
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        known, client = self._clients.get(digest, _NOBODY)
        return client if hmac.compare_digest(known, digest) else None

    def __len__(self) -> int:
        return len(self._clients)

    def __repr__(self) -> str:
        return f"Keys({len(self)} clients, {len(self.problems)} problems)"


def _digest(value: bytes | str) -> tuple[bytes | None, str]:
    """SHA-256 of the key that an entry stands for, or why it stands for none."""
    try:
        text = (value.decode() if isinstance(value, bytes) else value).strip()
    except UnicodeDecodeError:
        return None, "is not text; set it to an API key, or to sha256: and the hexadecimal SHA-256 of one"
    if text.lower().startswith(HASHED):
        digits = text[len(HASHED) :].strip().lower()
        if not _HEX.fullmatch(digits):
            return None, "after sha256: must come the 64 hexadecimal digits of the API key's SHA-256"
        digest = bytes.fromhex(digits)
        return (None, "is the SHA-256 of nothing; hash the API key") if digest == _NOTHING else (digest, "")
    if not text:
        return None, "is empty; set it to an API key, or remove it"
    if len(text) < SHORTEST:
        return None, f"is shorter than {SHORTEST} characters and easily guessed; take a longer API key"
    if not _SENDABLE.fullmatch(text):
        return None, "has characters that a header cannot carry; take an API key of letters, digits and - . _ ~"
    return hashlib.sha256(text.encode()).digest(), ""
