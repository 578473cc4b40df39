"""A replica on several nodes: a LeaderWorkerSet, each of whose groups is a leader that serves and its workers.

The group lives and dies as one: a container that restarts takes all of its group along, since the others wait for it
in vain. Its pods are put into one zone where that can be. Source: LeaderWorkerSet's API, leaderworkerset.x-k8s.io/v1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inferops.api.resources import InferenceService
from inferops.core.revision import revision_name
from inferops.render import labels, pod
from inferops.runtimes.base import Launch, ServingEngine

API_VERSION = "leaderworkerset.x-k8s.io/v1"


def leader_worker_set(service: InferenceService, launch: Launch, engine: ServingEngine) -> dict[str, Any]:
    """The LeaderWorkerSet of a revision whose replicas span nodes, without its replicas."""
    revision = launch.revision.hash
    return {
        "apiVersion": API_VERSION,
        "kind": "LeaderWorkerSet",
        "metadata": labels.metadata(service, revision_name(service.metadata.name, revision), revision),
        "spec": {
            # Else the set would want the name of the revision's Service for one of its own, under which a worker
            # finds a leader that is not ready.
            "networkConfig": {"subdomainPolicy": "UniquePerReplica"},
            # Where all GPUs are in use a surge would wait for ever.
            "rolloutStrategy": {
                "type": "RollingUpdate",
                "rollingUpdateConfiguration": {"maxSurge": 0, "maxUnavailable": 1, "partition": 0},
            },
            # The leader is ready only when the workers have loaded their part.
            "startupPolicy": "LeaderCreated",
            "leaderWorkerTemplate": {
                "size": launch.nodes,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": pod.template(launch, engine),
                "workerTemplate": pod.template(replace(launch, worker=True), engine),
            },
        },
    }
