"""Which version each cluster is to have: waves that follow each other, and going back without any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.api.inferenceservice import ModelSpec, RuntimeSpec
from inferops.api.placement import ClusterRolloutStatus, PlacedVersion
from inferops.api.rollout import ClusterWavesSpec
from inferops.core.clusters.version import Version, read
from inferops.core.clusters.waves import KEPT, Case, Holder, Rejection, Turn, advance, passed_on

BEGAN = datetime(2025, 11, 3, 12, tzinfo=UTC)
BAKE = 600
SPEC = ClusterWavesSpec(waves=[["a"], ["b", "c"]], bake="10m")
WORSE = Rejection("HarmShown", "20 of 100 requests failed", "bbbb000000")


def version(name: str, argument: str = "") -> Version:
    args = [argument] if argument else []
    return Version(ModelSpec(uri=f"hf://example/{name}"), RuntimeSpec(args=args))


ONE, TWO, THREE = version("one"), version("two"), version("three")


@dataclass
class Fleet:
    """Clusters that do what they are told, as far as nothing is said about them."""

    spec: ClusterWavesSpec | None = field(default_factory=lambda: SPEC)
    holders: dict[str, Holder] = field(default_factory=dict)
    record: ClusterRolloutStatus = field(default_factory=ClusterRolloutStatus)
    wanted: Version = ONE
    action: str = ""
    now: datetime = BEGAN

    def turn(self) -> Turn:
        """One decision, which is put on record, and taken by every cluster that answers."""
        turn = advance(Case(self.spec, self.wanted, self.record, list(self.holders.values()), self.action, self.now))
        again = advance(Case(self.spec, self.wanted, turn.record, self._with(turn), self.action, self.now))
        assert (again.record, again.given) == (turn.record, turn.given), "a second look changes nothing"
        self.record, self.holders = turn.record, {each.name: each for each in self._with(turn)}
        return turn

    def _with(self, turn: Turn) -> list[Holder]:
        """What is on record of a silent one stays; what one tells of another version is not about the new one."""
        found = []
        for each in self.holders.values():
            to = turn.given[each.name].hash if each.known else each.version
            found.append(each if to == each.version else replace(each, version=to, serves=False, rejection=None))
        return found

    def serve(self, *names: str) -> None:
        """They have rolled out what they were given."""
        for name in names:
            self.holders[name] = replace(self.holders[name], serves=self.holders[name].version == self.wanted.hash)

    def change(self, name: str, **more: object) -> None:
        self.holders[name] = replace(self.holders[name], **more)  # type: ignore[arg-type]

    def ask(self, wanted: Version) -> Turn:
        self.wanted = wanted
        self.holders = {name: replace(each, serves=False, rejection=None) for name, each in self.holders.items()}
        return self.turn()

    def wait(self, seconds: float) -> Turn:
        self.now += timedelta(seconds=seconds)
        return self.turn()

    @property
    def has(self) -> Mapping[str, str]:
        names = {each.hash: each.model.uri.rpartition("/")[2] for each in (ONE, TWO, THREE)}
        return {name: names.get(each.version, "") for name, each in self.holders.items()}


def fleet(*names: str, spec: ClusterWavesSpec | None = SPEC) -> Fleet:
    """Clusters that serve the version one."""
    made = Fleet(spec, {name: Holder(name) for name in names})
    made.turn()
    made.serve(*names)
    assert set(made.has.values()) == {"one"} and made.record.phase == "Complete"
    return made


def lost(wanted: Version, spec: ClusterWavesSpec | None = SPEC, **has: Version) -> Turn:
    """What a hub decides that has nothing on record, and finds these versions in its clusters."""
    holders = [Holder(name, each.hash, serves=each == wanted) for name, each in has.items()]
    there = {each.hash: each for each in has.values()}
    return advance(Case(spec, wanted, ClusterRolloutStatus(), holders, "", BEGAN, there))


def test_waves_apply_to_what_is_found_in_clusters_where_the_record_is_lost() -> None:
    turn = lost(TWO, a=ONE, b=ONE, c=THREE)
    assert turn.given == {"a": TWO, "b": ONE, "c": THREE}
    assert (turn.record.stable, turn.record.phase, turn.record.wave) == (ONE.hash, "Rolling", 1)
    assert {each.version for each in turn.record.versions} == {each.hash for each in (ONE, TWO, THREE)}
    under_way = lost(TWO, a=TWO, b=TWO, c=ONE)
    assert under_way.given == {"a": TWO, "b": TWO, "c": ONE}
    assert (under_way.record.stable, under_way.record.phase) == (ONE.hash, "Baking")


def test_all_get_it_at_once_where_none_has_another_one_or_nobody_asks_for_waves() -> None:
    for turn in (lost(TWO, a=TWO, b=TWO), lost(TWO), lost(TWO, spec=None, a=ONE)):
        assert all(each == TWO for each in turn.given.values()) and turn.record.phase == "Complete"


def test_what_a_cluster_tells_counts_only_where_nothing_is_on_record() -> None:
    clusters = fleet("a", "b")
    holders = [replace(each, version=THREE.hash) for each in clusters.holders.values()]
    turn = advance(Case(SPEC, TWO, clusters.record, holders, "", BEGAN, {THREE.hash: THREE}))
    assert turn.record.stable == ONE.hash and turn.given == {"a": TWO, "b": ONE}


def baking() -> Fleet:
    """It is watched in the first of three waves."""
    clusters = fleet("a", "b", "d")
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.turn()
    assert (clusters.record.phase, clusters.record.wave, clusters.record.waves) == ("Baking", 1, 3)
    return clusters


def test_who_promotes_while_a_wave_bakes_begins_the_next_one_and_no_other() -> None:
    clusters = baking()
    clusters.action = f"promote@{TWO.hash}/1"
    clusters.turn()
    assert (clusters.record.phase, clusters.record.wave) == ("Rolling", 2)
    assert clusters.has == {"a": "two", "b": "two", "d": "one"}
    assert clusters.record.handled == clusters.action
    assert passed_on(clusters.action, clusters.record) == "", "it opens no gate of the clusters of the next wave"
    clusters.serve("b")
    assert clusters.turn().again == BAKE and clusters.record.phase == "Baking"
    clusters.action = f"promote@{TWO.hash}/2"
    clusters.turn()
    assert clusters.has["d"] == "two"


def test_where_the_next_wave_serves_already_it_is_watched_all_the_same() -> None:
    clusters = baking()
    clusters.change("b", version=TWO.hash, serves=True)
    clusters.action = f"promote@{TWO.hash}/1"
    assert clusters.turn().again == BAKE
    assert (clusters.record.phase, clusters.record.wave) == ("Baking", 2)


def test_what_was_said_before_a_wave_bakes_or_of_something_else_does_not_cut_it_short() -> None:
    clusters = fleet("a", "b", "d")
    clusters.ask(TWO)
    clusters.action = f"promote@{TWO.hash}/1"  # of the rollout within a
    clusters.turn()
    assert passed_on(clusters.action, clusters.record) == clusters.action
    clusters.serve("a")
    assert clusters.turn().again == BAKE and clusters.record.phase == "Baking"
    for other in (f"promote@{ONE.hash}/2", f"resume@{TWO.hash}/3", f"retry@{TWO.hash}/4", "promote", ""):
        clusters.action = other
        clusters.turn()
        assert (clusters.record.phase, clusters.record.wave) == ("Baking", 1), other


def test_a_version_is_model_and_runtime_and_nothing_else() -> None:
    config = {"config": {"name": "shapes", "key": "config.json"}}
    same = Version(ModelSpec.model_validate({**ONE.model.dump(), **config}), ONE.runtime)
    assert same.hash == ONE.hash
    assert len({each.hash for each in (ONE, TWO, version("one", "--enforce-eager"))}) == 3
    assert read(ONE.record()) == ONE and read(same.record()) == same
    assert '"name":"vllm"' not in ONE.record().content, "what is left out stays left out"


@pytest.mark.parametrize("content", ["", "{}", "[]", "7", '{"model":{},"runtime":{}}', TWO.record().content])
def test_a_version_on_record_that_somebody_edited_is_none(content: str) -> None:
    assert read(PlacedVersion(version=ONE.hash, content=content)) is None


def test_the_first_version_goes_everywhere_at_once() -> None:
    assert fleet("a", "b", "c", "d").record.versions == [ONE.record()]


def test_waves_follow_each_other_once_each_has_baked() -> None:
    clusters = fleet("a", "b", "c", "d")
    clusters.ask(TWO)
    assert clusters.has == {"a": "two", "b": "one", "c": "one", "d": "one"}
    assert (clusters.record.phase, clusters.record.wave, clusters.record.waves) == ("Rolling", 1, 3)
    clusters.wait(2 * BAKE)
    assert clusters.has["b"] == "one", "it has not served it yet"
    clusters.serve("a")
    assert clusters.turn().again == BAKE
    assert (clusters.record.phase, clusters.record.since) == ("Baking", "2025-11-03T12:20:00Z")
    assert clusters.wait(BAKE - 1).again == 1
    assert clusters.has["b"] == "one"
    clusters.wait(1)
    assert clusters.has == {"a": "two", "b": "two", "c": "two", "d": "one"}
    clusters.serve("b")
    clusters.wait(2 * BAKE)
    assert "waits for c to serve" in clusters.record.message
    clusters.serve("c")
    clusters.turn()
    clusters.wait(BAKE)
    assert clusters.has["d"] == "two" and clusters.record.phase == "Rolling"
    clusters.serve("d")
    clusters.turn()
    assert clusters.record == ClusterRolloutStatus(version=TWO.hash, stable=TWO.hash, versions=[TWO.record()])


def test_what_no_longer_serves_begins_to_bake_anew() -> None:
    clusters = fleet("a", "b")
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.wait(BAKE - 1)
    clusters.change("a", serves=False)
    clusters.wait(10)
    assert clusters.record.phase == "Rolling"
    clusters.change("a", serves=True)
    assert clusters.turn().again == BAKE


def test_clusters_that_are_not_there_make_no_wave() -> None:
    clusters = fleet("b", "d")
    clusters.ask(TWO)
    assert clusters.has == {"b": "two", "d": "one"}
    assert clusters.record.wave == 2


def test_no_time_to_bake_goes_on_as_soon_as_one_serves() -> None:
    clusters = fleet("a", "b", spec=ClusterWavesSpec(waves=[["a"], ["b"]], bake="0s"))
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.turn()
    assert clusters.has == {"a": "two", "b": "two"} and clusters.record.waves == 2


@pytest.mark.parametrize("wave", [1, 2, 3])
def test_one_that_goes_back_stops_all(wave: int) -> None:
    clusters = fleet("a", "b", "c", "d")
    clusters.ask(TWO)
    for names in (("a",), ("b", "c"))[: wave - 1]:
        clusters.serve(*names)
        clusters.turn()
        clusters.wait(BAKE)
    back = "abd"[wave - 1]
    assert clusters.has[back] == "two"
    clusters.change(back, rejection=WORSE)
    clusters.turn()
    assert set(clusters.has.values()) == {"one"}
    told = clusters.record
    assert (told.phase, told.reason, told.rejected, told.wave) == ("Stopped", "HarmShown", ["bbbb000000"], wave)
    later = {1: "waves 2 to 3 do not begin, and ", 2: "wave 3 does not begin, and ", 3: ""}[wave]
    assert told.message == (
        f"{back} went back: 20 of 100 requests failed; {later}all clusters get version {ONE.hash} again, not {TWO.hash}"
    )
    clusters.wait(9 * BAKE)
    assert clusters.record == told
    clusters.ask(THREE)
    assert clusters.has["a"] == "three" and clusters.record.phase == "Rolling"


def test_one_of_an_earlier_wave_stops_it_too() -> None:
    clusters = fleet("a", "b", "d")
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.turn()
    clusters.wait(BAKE)
    clusters.change("a", serves=False, rejection=WORSE)
    clusters.turn()
    assert set(clusters.has.values()) == {"one"}


@pytest.mark.parametrize(
    ("action", "again"),
    [
        ("retry@bbbb000000", True),
        (f"retry@{TWO.hash}/x1", True),
        ("retry@cccc000000", False),
        ("promote@bbbb000000", False),
        ("bbbb000000", False),
    ],
)
def test_somebody_may_have_it_tried_again(action: str, again: bool) -> None:
    clusters = fleet("a", "b")
    clusters.ask(TWO)
    clusters.change("a", rejection=WORSE)
    clusters.turn()
    clusters.action = action
    clusters.turn()
    assert (clusters.has["a"] == "two") is again
    clusters.change("a", rejection=WORSE if again else None)
    clusters.turn()
    assert clusters.record.phase == "Stopped"
    clusters.wait(BAKE)
    assert clusters.has == {"a": "one", "b": "one"}, "once"


def test_what_was_said_of_a_wave_is_not_said_of_the_next_one() -> None:
    clusters = fleet("a", "b", "d")
    clusters.action = "promote@aaaa000000/1"
    clusters.ask(TWO)
    assert passed_on(clusters.action, clusters.record) == "", "of what came before"
    clusters.action = "resume@bbbb000000/1"
    clusters.turn()
    assert passed_on(clusters.action, clusters.record) == clusters.action
    clusters.serve("a")
    clusters.turn()
    assert passed_on(clusters.action, clusters.record) == clusters.action
    clusters.wait(BAKE)
    assert passed_on(clusters.action, clusters.record) == "", "the next wave's gates are for another look"
    clusters.action = "resume@bbbb000000/2"
    clusters.turn()
    assert passed_on(clusters.action, clusters.record) == clusters.action
    assert passed_on("something else", clusters.record) == ""


def test_nothing_is_tried_again_before_all_have_gone_back() -> None:
    clusters = fleet("a", "b")
    clusters.ask(TWO)
    clusters.change("a", rejection=WORSE)
    case = Case(SPEC, TWO, clusters.record, list(clusters.holders.values()), "", clusters.now)
    stopped = advance(case).record
    still = advance(replace(case, before=stopped, action="retry@bbbb000000"))
    assert (still.record.phase, still.record.handled) == ("Stopped", "")


def test_a_revert_goes_everywhere_at_once() -> None:
    clusters = fleet("a", "b", "d")
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.turn()
    clusters.wait(BAKE)
    clusters.ask(ONE)
    assert set(clusters.has.values()) == {"one"} and clusters.record.phase == "Complete"


def test_a_newer_version_begins_anew_and_those_that_wait_keep_what_they_have() -> None:
    clusters = fleet("a", "b", "d")
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.turn()
    clusters.wait(BAKE)
    clusters.ask(THREE)
    assert clusters.has == {"a": "three", "b": "two", "d": "one"}
    assert {each.version for each in clusters.record.versions} == {ONE.hash, TWO.hash, THREE.hash}
    clusters.change("a", rejection=WORSE)
    clusters.turn()
    assert set(clusters.has.values()) == {"one"}, "the version that all have had"


def test_a_lost_one_decides_nothing() -> None:
    clusters = fleet("a", "b", "c")
    clusters.ask(TWO)
    clusters.change("a", known=False, lost=True)
    clusters.turn()
    assert clusters.has == {"a": "two", "b": "two", "c": "two"}, "the next wave is the first that can tell"
    clusters.serve("b", "c")
    clusters.turn()
    assert clusters.record.phase == "Complete"


def test_while_all_are_lost_nothing_is_known() -> None:
    clusters = fleet("a", "b")
    for name in ("a", "b"):
        clusters.change(name, known=False, lost=True)
    clusters.ask(TWO)
    clusters.wait(9 * BAKE)
    assert (clusters.record.phase, clusters.record.stable) == ("Rolling", ONE.hash)


def test_nobody_who_served_it_is_left() -> None:
    clusters = fleet("a", "b")
    clusters.change("a", known=False, lost=True)
    clusters.ask(TWO)
    assert clusters.has == {"a": "one", "b": "two"}
    clusters.change("a", lost=False)
    clusters.change("b", known=False, lost=True)
    clusters.turn()
    assert (clusters.record.phase, clusters.record.wave) == ("Rolling", 2)
    assert "no cluster that has the service can tell of it now" in clusters.record.message


def test_a_silent_one_holds_its_wave() -> None:
    clusters = fleet("a", "b", "c")
    clusters.change("c", known=False)
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.turn()
    clusters.wait(BAKE)
    assert clusters.has["b"] == "two", "one of a later wave holds nobody"
    clusters.serve("b")
    clusters.change("a", known=False)
    clusters.wait(9 * BAKE)
    assert clusters.record.phase == "Rolling" and "c does not answer" in clusters.record.message
    clusters.change("c", known=True)
    clusters.turn()
    clusters.serve("c")
    clusters.turn()
    assert clusters.record.phase == "Complete"


def test_silence_does_not_set_the_clock_back() -> None:
    clusters = fleet("a", "b")
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.turn()
    clusters.change("a", known=False, serves=False)
    clusters.wait(BAKE - 60)
    assert clusters.has["b"] == "one"
    clusters.change("a", known=True, serves=True)
    assert clusters.turn().again == 60


def test_one_that_is_chosen_meanwhile_gets_the_version_of_its_wave() -> None:
    clusters = fleet("a", "b")
    clusters.ask(TWO)
    clusters.holders |= {"d": Holder("d"), "c": Holder("c")}
    clusters.turn()
    assert (clusters.has["c"], clusters.has["d"]) == ("one", "one")
    clusters.serve("a")
    clusters.turn()
    clusters.wait(BAKE)
    assert (clusters.has["c"], clusters.has["d"]) == ("two", "one")


def test_without_waves_all_get_it_and_nothing_is_remembered() -> None:
    clusters = fleet("a", "b")
    clusters.ask(TWO)
    clusters.spec = None
    clusters.turn()
    assert set(clusters.has.values()) == {"two"}
    assert clusters.record.versions == [TWO.record()]


def test_a_record_that_somebody_spoilt_counts_as_none() -> None:
    clusters = fleet("a", "b")
    clusters.record = clusters.record.model_copy(update={"versions": []})
    clusters.ask(TWO)
    assert set(clusters.has.values()) == {"two"}


def test_a_clock_that_somebody_spoilt_begins_anew() -> None:
    clusters = fleet("a", "b")
    clusters.ask(TWO)
    clusters.serve("a")
    clusters.turn()
    clusters.record = clusters.record.model_copy(update={"since": "soon"})
    assert clusters.turn().again == BAKE
    clusters.wait(BAKE)
    assert clusters.has["b"] == "two"


def test_large_versions_do_not_fill_the_status() -> None:
    clusters = fleet("a", "b", "c", "d")
    large = [version("large", f"--{'x' * 1000}={number}") for number in range(3)]
    filled = [
        Version(each.model, RuntimeSpec(args=each.runtime.args * 64, name=f"r{n}")) for n, each in enumerate(large)
    ]
    clusters.ask(filled[0])
    clusters.change("a", version=filled[1].hash)
    clusters.ask(filled[2])
    sizes = [len(each.content) for each in clusters.record.versions]
    assert sum(sizes) < 300_000 and clusters.record.versions[0].version == ONE.hash
    assert len(sizes) <= KEPT


def test_a_wave_that_is_lost_is_not_passed_over_while_one_from_before_has_to_catch_up() -> None:
    clusters = fleet("a", "b", "c", "d")
    for name in ("a", "c"):
        clusters.change(name, lost=True, known=False, serves=False)
    clusters.ask(TWO)
    assert clusters.has["b"] == "two", "the first wave is lost"
    clusters.change("a", lost=False, known=True)
    clusters.change("b", lost=True, known=False, serves=False)
    clusters.turn()
    assert (clusters.has["a"], clusters.has["d"]) == ("two", "one")
    clusters.serve("a")
    clusters.turn()
    assert clusters.has["d"] == "two"


NAMES = ("a", "b", "c", "d")
EVENTS = st.one_of(
    st.tuples(st.just("serve"), st.sampled_from(NAMES)),
    st.tuples(st.just("fail"), st.sampled_from(NAMES)),
    st.tuples(st.just("silent"), st.sampled_from(NAMES)),
    st.tuples(st.just("lost"), st.sampled_from(NAMES)),
    st.tuples(st.just("back"), st.sampled_from(NAMES)),
    st.tuples(st.just("reject"), st.sampled_from(NAMES)),
    st.tuples(st.just("ask"), st.sampled_from((ONE, TWO, THREE))),
    st.tuples(st.just("wait"), st.sampled_from((1, 60, BAKE - 1, BAKE))),
)


@given(st.lists(EVENTS, max_size=40))
@settings(max_examples=100, deadline=None)
def test_whatever_happens_no_wave_begins_before_the_one_before_has_baked(events: list[tuple[str, object]]) -> None:
    clusters = fleet(*NAMES)
    for what, on in events:
        before, began = dict(clusters.holders), clusters.record
        _happens(clusters, what, on)
        record, wanted = clusters.record, clusters.wanted.hash
        case = Case(clusters.spec, clusters.wanted, record, list(clusters.holders.values()), "", clusters.now)
        if wanted == began.stable:
            assert all(each.version == wanted for each in clusters.holders.values() if each.known), "back at once"
        if record.phase == "Stopped":
            assert all(each.version == record.stable for each in clusters.holders.values() if each.known)
        for each in clusters.holders.values():
            newly = each.version == wanted and before[each.name].version != wanted
            if not newly or wanted in (began.stable, record.stable) or not each.known:
                continue
            assert record.phase in ("Rolling", "Baking") and case.wave(each.name) <= record.wave
            if began.version == wanted and record.wave > began.wave:
                _has_baked(clusters, began, case, record.wave)
        if record.version == began.version and began.phase != "Stopped" and record.phase in ("Rolling", "Baking"):
            assert record.wave >= began.wave


def _has_baked(clusters: Fleet, began: ClusterRolloutStatus, case: Case, wave: int) -> None:
    """All that can tell of the waves before serve it, and those of the last one have for long enough."""
    earlier = [each for each in clusters.holders.values() if case.wave(each.name) < wave and not each.lost]
    assert all(each.serves for each in earlier if each.known)
    here = [each for each in earlier if case.wave(each.name) == began.wave]
    if here:
        assert all(each.known for each in here)
        since = datetime.fromisoformat(began.since) if began.since else None
        assert since is not None and (clusters.now - since).total_seconds() >= BAKE


def _happens(clusters: Fleet, what: str, on: object) -> None:
    if isinstance(on, Version):
        clusters.ask(on)
    elif isinstance(on, int):
        clusters.wait(on)
    else:
        name = str(on)
        has_it = clusters.holders[name].version == clusters.wanted.hash and clusters.holders[name].known
        if what == "serve":
            clusters.serve(*([name] if has_it else []))
        elif what == "fail":
            clusters.change(name, serves=False)
        elif what in ("silent", "lost"):
            clusters.change(name, known=False, lost=what == "lost", serves=False, rejection=None)
        elif what == "back":
            clusters.change(name, known=True, lost=False)
        elif has_it and clusters.wanted.hash != clusters.record.stable:
            clusters.change(name, serves=False, rejection=WORSE)
        clusters.turn()
