"""Gateways that tell what a test puts into them of what is asked of services, and a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from inferops.controller.demand import TICK, Word
from inferops.controller.demandline import Asked
from inferops.controller.following import Ask
from inferops.controller.loads import Loads
from inferops.controller.store import Key
from inferops.core.load import Load
from inferops.signals.totals import NONE, Totals

START = 1_762_171_200.0  # Unix seconds at which a test begins
LLAMA, QWEN = (Key("InferenceService", "chat", name) for name in ("llama", "qwen"))


@dataclass
class Gateway:
    """One, with the numbers of one start of it."""

    boot: str = "1"
    began: float = -1000.0
    ready: bool = True
    tells: bool = True
    total: Totals = NONE
    told: Asked | None = None  # what it told last
    at: float = 0.0


@dataclass
class Gateways:
    """Those that are listed; they tell of llama."""

    now: Callable[[], float]
    listed: dict[str, Gateway] = field(default_factory=dict)
    loaded: Callable[[Key, Word], None] = lambda key, word: None

    def words(self, key: Key) -> list[Word]:
        return [self._word(name, each, key) for name, each in self.listed.items()]

    def _word(self, name: str, each: Gateway, key: Key) -> Word:
        if not each.tells:
            return Word(each.ready, "")
        age = self.now() - each.at
        told = each.told if key == LLAMA else None
        return Word(each.ready, f"{name} {each.boot}", age if age < TICK else 0.0, self.now() - each.began, told)

    def tell(self, name: str = "g", waiting: int = 0, in_flight: int = 0, **more: float) -> None:
        """One has counted so much more, and says so."""
        each = self.listed[name]
        numbers = {field: getattr(each.total, field) + number for field, number in more.items()}
        each.total = each.total._replace(**numbers)
        self.say(name, Asked(waiting, in_flight, 0.0, 0.0, load=each.total))

    def say(self, name: str, asked: Asked) -> None:
        each = self.listed[name]
        each.told, each.at = asked, self.now()
        if asked.load is not None:
            self.loaded(LLAMA, Word(True, f"{name} {each.boot}", 0.0, self.now() - each.began, asked))

    def restart(self, name: str = "g") -> None:
        """It begins anew, and is heard of again only when it tells."""
        each = self.listed[name]
        self.listed[name] = replace(each, boot=f"{each.boot}+", began=self.now(), total=NONE, told=None)


class World:
    """A gateway that tells, unless a test says otherwise, and whoever counts."""

    def __init__(self, *gateways: str, prometheus: str | None = None) -> None:
        self.time = 0.0
        self.gateways = Gateways(lambda: self.time, {name: Gateway() for name in gateways or ("g",)})
        self.loads = Loads(self.now, self.gateways, prometheus)

    def now(self) -> datetime:
        return datetime.fromtimestamp(START + self.time, UTC)

    def want(self, ask: Ask | None = None) -> None:
        self.loads.want(LLAMA, ask or Ask(source="gateway"))

    def load(self, since: float | None = None) -> Load:
        load, why = self.loads.load(LLAMA, None if since is None else START + since)
        assert load is not None, why
        assert why == ""
        return load

    def why(self, key: Key = LLAMA) -> str:
        load, why = self.loads.load(key, None)
        assert load is None
        return why
