"""Which revision a request goes to: by weight, and one session always to the same.

Sessions go by weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005):
each revision draws an exponential time from the hash of itself and the session, at the rate of its weight, and the
first wins. Raising one weight therefore moves sessions to that revision alone, lowering it moves them from that one
alone, and a revision that is away leaves its sessions to the others in proportion. All gateways choose alike.

Requests without a session go by the multiples of the golden ratio, whose share of any interval is off by a few
requests however many there are: 5 % of 20,000 requests are 1,000 give or take a handful, which chance would miss by 60.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from math import log

GOLDEN = 0.6180339887498949  # (sqrt(5) - 1) / 2


def entitled(weights: Mapping[str, int], staffed: Collection[str]) -> dict[str, int]:
    """The revisions that get requests, with their weights: those of a weight that have replicas.

    A revision of weight 0 gets nothing as long as one with a weight has a replica, be it one that must not be asked
    just now. Where none has (a hand-over that was cut short), those of weight 0 that have replicas answer, alike.
    """
    weighted = {revision: weight for revision, weight in weights.items() if weight > 0 and revision in staffed}
    return weighted or {revision: 1 for revision in weights if revision in staffed}


class Split:
    """Chooses by the weights in force."""

    def __init__(self, start: float = 0.0) -> None:
        """`start` in [0, 1): gateways that begin at different points do not all send their first request alike."""
        self.weights: Mapping[str, int] = {}
        self._point = start

    def choose(self, session: str | None, usable: Sequence[str]) -> str:
        """One of `usable`, of which there is at least one and which all have a weight above 0."""
        if len(usable) == 1:
            return usable[0]
        if session is not None:
            name = session.encode(errors="surrogateescape")
            return min(usable, key=lambda revision: _arrival(name, revision) / self.weights[revision])
        self._point = (self._point + GOLDEN) % 1.0
        mark = self._point * sum(self.weights[revision] for revision in usable)
        for revision in usable:
            mark -= self.weights[revision]
            if mark < 0:
                return revision
        return usable[-1]


def _arrival(session: bytes, revision: str) -> float:
    """An exponential time of rate 1, always the same for the two."""
    digest = blake2b(session, digest_size=8, key=revision.encode()[:64]).digest()
    return -log((int.from_bytes(digest, "big") + 1) / 2.0**64)
