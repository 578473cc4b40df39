"""Which namespaces are served: all of a cluster at once, or some that were named, each asked for by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from inferops.kube.kinds import INFERENCE_CLUSTER, Kind

EVERYWHERE = ("",)  # as namespaces of requests: one for all of them
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Scope:
    """The namespaces that an operator or a gateway serves."""

    namespaces: tuple[str, ...] = ()  # empty: all
    own: str = ""  # the operator's, in which InferenceClusters are

    @property
    def named(self) -> bool:
        """Whether it is some namespaces and not all."""
        return bool(self.namespaces)

    @property
    def everywhere(self) -> tuple[str, ...]:
        """The namespaces to ask for what belongs to services, one request each."""
        return self.namespaces or EVERYWHERE

    def of(self, kind: Kind) -> tuple[str, ...]:
        """The namespaces to ask for a kind, one request each."""
        if not self.named or not kind.namespaced:
            return EVERYWHERE
        return (self.own,) if kind is INFERENCE_CLUSTER else self.namespaces


def namespaces_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The namespaces in `texts`, each of which may hold several with commas between. Raises ValueError on what is no
    name of a namespace."""
    found = dict.fromkeys(part.strip() for text in texts for part in text.split(",") if part.strip())
    for each in found:
        if not LABEL.fullmatch(each):
            raise ValueError(f"{each!r} is no name of a namespace; give names such as team-a, with commas or again")
    return tuple(found)
