"""Which modules of tests/cluster run together, and that none is left out."""

from __future__ import annotations

import pytest

from cluster_tests import ALONE, FOLDER, LONG, TOGETHER, chosen, processors


def test_each_module_runs_once_and_the_long_ones_first() -> None:
    names = [path.name for module in chosen([]) for path in module.paths]
    assert sorted(names) == sorted(path.name for path in FOLDER.glob("test_*.py"))
    first = [module.paths[0].name for module in chosen([])]  # each with those after it that share its control plane
    assert [name for name in first if name in LONG] == [name for name in LONG if name in first]
    others = {name for name in names[: names.index(LONG[-1])] if name not in LONG}
    assert others <= {name for group in TOGETHER for name in group}, "only those of a group stand among the long ones"
    assert {*ALONE, *LONG, *(name for group in TOGETHER for name in group)} <= set(names)
    assert not set(ALONE) & {name for group in TOGETHER for name in group}


def test_those_that_share_a_control_plane_do_so_in_their_order_as_far_as_they_are_asked_for() -> None:
    [group, *_] = TOGETHER
    assert [module.name for module in chosen(list(reversed(group)))] == [", ".join(group)]
    assert [module.name for module in chosen([group[1], group[0]])] == [f"{group[0]}, {group[1]}"]
    assert [module.name for module in chosen([group[1]])] == [group[1]]
    assert {module.name for module in chosen([*group, ALONE[0]])} == {", ".join(group), ALONE[0]}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"test_nothing\.py"):
        chosen(["test_nothing.py"])


def test_idle_processors_are_told_from_busy_ones() -> None:
    before = processors()
    while (now := processors()).all - before.all < 10:
        pass  # this process keeps one busy
    assert 0 <= now.idle - before.idle < now.all - before.all
