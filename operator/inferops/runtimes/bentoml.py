"""BentoML: a Bento, built to an image with `bentoml containerize`, which serves its own API on port 3000.

The image holds the server, the code and, as a rule, the model. So `spec.model.uri: oci://REGISTRY/BENTO:TAG` names it,
and nothing is mounted. Facts as of BentoML 1.4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes import environment
from inferops.runtimes.arguments import Rules
from inferops.runtimes.base import CACHE_PATH, Api, Endpoint, Launch, Metrics, Port, ServingEngine
from inferops.runtimes.sources import Source

ENTRY_POINT = "/home/bentoml/bento/env/docker/entrypoint.sh"

RESERVED = {
    "--host": "",
    "--port": "",
    "--production": "",
    "--timeout-graceful-shutdown": "drain of the ServingRuntime",
}

DENIED = (
    # run other code than the Bento's
    "--working-dir",
    "--reload",
    "--development",
    "--env",
    # read files
    "--ssl-*",
)

DENIED_ENV = ("BENTOML_*", "BENTO_*", "PORT", "CIRCUS*")

# Fields of spec.model that a Bento decides by itself.
OWN = ("name", "quantization", "maxModelLen")


class BentoML(ServingEngine):
    """A Bento, by the image that it was built to."""

    name = "bentoml"
    image = ""  # the user's
    command = (ENTRY_POINT, "serve")
    user = 1034  # bentoml's, of the images that it builds
    ports = (Port("http", 3000),)
    startup = readiness = Endpoint("http", "/readyz")
    liveness = Endpoint("http", "/livez")
    # It has no queue of its own to look into: what waits is in progress.
    metrics = Metrics(
        endpoint=Endpoint("http", "/metrics"),
        running="bentoml_service_request_in_progress",
        e2e="bentoml_service_request_duration_seconds",
        succeeded="bentoml_service_request_total",  # failed ones too, by http_response_code
    )
    api = Api("other", paths=("/",), closed=("/metrics",))
    sources = ("oci",)
    rules = Rules(RESERVED, DENIED, frozenset({"--timeout"}))
    denied_env = DENIED_ENV
    swallows = True
    drain_flag = "--timeout-graceful-shutdown"

    def image_for(self, launch: Launch) -> str:
        return launch.revision.model.uri.removeprefix("oci://")

    def source(self, launch: Launch) -> Source:
        return replace(launch.source, volumes=(), mounts=())

    def operator_args(self, launch: Launch) -> list[str]:
        return [
            "--host=0.0.0.0",
            "--port=3000",
            "--production",
            f"{self.drain_flag}={launch.runtime.drain.timeout_seconds}",
        ]

    def operator_env(self, launch: Launch) -> list[dict[str, Any]]:
        return environment.at_home(CACHE_PATH, "bentoml")

    def own_obstacle(self, launch: Launch) -> Obstacle | None:
        if launch.runtime.image is not None:
            return Obstacle(
                Reason.RUNTIME_INVALID,
                f"ServingRuntime {launch.revision.runtime.name}: spec.image: a Bento is an image of its own, which "
                "services name in spec.model.uri; remove it",
            )
        image = self.image_for(launch)
        if "@" not in image and (":" not in image.rpartition("/")[2] or image.endswith(":latest")):
            return Obstacle(
                Reason.INVALID_SPEC,
                "spec.model.uri: the Bento's image would change under the running service; name a tag other than "
                "latest, or a digest",
            )
        given = launch.revision.model.dump()
        for field in OWN:
            if field in given:
                return Obstacle(Reason.INVALID_SPEC, f"spec.model.{field}: the Bento itself decides it; remove it")
        return None
