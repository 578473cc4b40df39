"""Hostile resources against a real API server: refused, or served, or told of in a status; never an exception.

`make fuzz MINUTES=5` goes on for so long, each time with others.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings

from cluster.fuzzing import Tried, priority_classes
from cluster.hostile import KIND_NAMES, TEXTS_RAW, YAML_BOMB, Json, resources
from cluster.services import Say
from controlplane import BenchError, Cluster
from harness import begin_namespace, install

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
EXAMPLES = 40 if not MINUTES else 250  # of each kind, in one round
SHARE = {"InferenceService": 2}  # of examples, beside one for each other kind
NAMESPACE = "fuzzed"


@pytest.fixture(scope="module")
def tried(cluster: Cluster) -> Iterator[Tried]:
    install(cluster)
    begin_namespace(cluster, NAMESPACE)
    cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    with priority_classes(cluster):
        yield Tried(cluster, NAMESPACE)
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_hostile_resources_are_refused_or_served_or_told_of(tried: Tried, say: Say, kind: str) -> None:
    tried.counts.clear()

    def one_round(number: int) -> None:
        @seed(number)
        @settings(
            max_examples=EXAMPLES * SHARE.get(kind, 1),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(resources(kind))
        def attempt(given_: Json) -> None:
            tried.resource(given_)

        attempt()

    one_round(1)
    until = time.monotonic() + 60 * MINUTES / len(KIND_NAMES)
    while time.monotonic() < until:
        one_round(random.randrange(2**32))
    say(f"{kind}: {', '.join(f'{number} {what}' for what, number in tried.counts.most_common())}")
    assert 0.1 < tried.counts["admitted"] / tried.counts["tried"] < 0.9, "it says little where all are, or none is"


def test_of_what_is_made_of_them_the_api_server_refuses_nothing(tried: Tried) -> None:
    assert not tried.refused_children


@pytest.mark.parametrize("case", TEXTS_RAW)
def test_what_is_no_resource_at_all_is_refused(tried: Tried, case: str) -> None:
    with pytest.raises(BenchError):
        tried.cluster.kubectl("create", "-n", NAMESPACE, "--validate=false", "-f", "-", input=TEXTS_RAW[case])


def test_a_yaml_bomb_is_refused(tried: Tried) -> None:
    with pytest.raises(BenchError):
        tried.cluster.kubectl("create", "-n", NAMESPACE, "--dry-run=server", "-f", "-", input=YAML_BOMB)
