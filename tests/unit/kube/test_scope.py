"""Which namespaces are asked for what."""

from __future__ import annotations

import pytest

from inferops.kube.kinds import INFERENCE_CLUSTER, NODE, POD
from inferops.kube.scope import Scope, namespaces_in


def test_all_namespaces_are_asked_for_at_once() -> None:
    scope = Scope(own="inferops-system")
    assert not scope.named and scope.everywhere == ("",)
    assert scope.of(POD) == scope.of(NODE) == scope.of(INFERENCE_CLUSTER) == ("",)


def test_named_ones_are_asked_for_one_by_one_and_clusters_in_the_operators_own() -> None:
    scope = Scope(("red", "blue"), "inferops-system")
    assert scope.named and scope.everywhere == scope.of(POD) == ("red", "blue")
    assert scope.of(NODE) == ("",) and scope.of(INFERENCE_CLUSTER) == ("inferops-system",)


def test_names_come_with_commas_or_again_and_count_once() -> None:
    assert namespaces_in(["red, blue", "red", "", "a" * 63]) == ("red", "blue", "a" * 63)
    assert namespaces_in([]) == ()


@pytest.mark.parametrize("text", ["Red", "re*", "a.b", "-a", "a-", "a" * 64, "!red", "red blue"])
def test_what_is_no_name_is_refused_by_its_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no name of a namespace; give names such as team-a"):
        namespaces_in([text])
