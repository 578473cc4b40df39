"""`kubectl inferops <TAB>`."""

from __future__ import annotations

import pytest

from inferops.cli import complete
from inferops.cli.complete import completions


@pytest.mark.parametrize(
    ("words", "some", "directive"),
    [
        ([""], ["why", "list", "rollout"], 4),
        (["ro"], ["rollout"], 4),
        (["rollout", "re"], ["resume", "retry"], 4),
        (["cost", "--b"], ["--by"], 4),
        (["cost", "--by", "n"], [], 4),
        (["list", "-o", ""], [], 4),
        (["diff", "-f", ""], [], 0),
        (["nonsense", "x"], [], 4),
    ],
)
def test_what_may_follow(words: list[str], some: list[str], directive: int) -> None:
    found, told, names = completions(words)
    assert set(some) <= {each.partition("\t")[0] for each in found} and told == directive and not names
    if words != [""]:
        assert len(found) == len(some)


@pytest.mark.parametrize("words", [["why", ""], ["rollout", "status", "ll"], ["logs", "-n", "chat", ""]])
def test_where_a_service_is_meant_the_cluster_is_asked(words: list[str]) -> None:
    assert completions(words) == ([], 4, True)


def test_without_a_cluster_nothing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["kubectl_complete-inferops", "why", "--kubeconfig=/none", ""])
    complete.main()
    assert capsys.readouterr().out == ":4\n"
