"""Services to render, by hand and by hypothesis, and the samples of the repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from inferops import catalogue
from inferops.api.accelerator import AcceleratorSpec
from inferops.api.resources import Accelerator, InferenceService, ServingRuntime
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.revision import RevisionSpec, revision_of
from inferops.render.record import Record
from inferops.render.revision import render_revision
from inferops.runtimes import ENGINES, Launch

UID = "7d3c1f0e-2b1a-4c5d-8e9f-0a1b2c3d4e5f"
SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"

MODELS: dict[str, dict[str, Any]] = {
    "hf": {"uri": "hf://Qwen/Qwen3-8B"},
    "hf with a token": {"uri": "hf://Qwen/Qwen3-8B", "revision": "main", "credentialsSecret": "hf-token"},
    "s3": {"uri": "s3://models/qwen/3-8b/"},
    "s3 with keys": {"uri": "s3://models/qwen/3-8b", "credentialsSecret": "keys"},
    "gs": {"uri": "gs://models/qwen"},
    "gs with a key": {"uri": "gs://models/qwen", "credentialsSecret": "key"},
    "pvc": {"uri": "pvc://models"},
    "pvc folder": {"uri": "pvc://models/qwen/3-8b/"},
    "oci": {"uri": "oci://registry.example.com:5000/models/qwen:3-8b"},
    "oci with a login": {"uri": "oci://registry.example.com/models/qwen:3-8b", "credentialsSecret": "login"},
}


def service(model: Mapping[str, Any] | None = None, runtime: Any = None, choice: Any = None) -> InferenceService:
    """A service as the API server returns it."""
    spec = {
        "model": model or MODELS["hf"],
        "runtime": runtime or {},
        "accelerators": [choice or {"type": "nvidia-h100-80gb", "count": 1}],
    }
    return InferenceService.model_validate(
        {"metadata": {"name": "chat", "namespace": "team-a", "uid": UID, "generation": 3}, "spec": spec}
    )


def revision(of: InferenceService, choice: int = 0) -> RevisionSpec:
    return revision_of(of.spec, of.spec.accelerators[choice])


def rendered(
    of: InferenceService,
    runtime: ServingRuntimeSpec | None = None,
    accelerator: AcceleratorSpec | None = None,
    choice: int = 0,
) -> Record:
    """`of` rendered on its accelerator, where its engine has nothing against it."""
    spec = revision(of, choice)
    runtime = runtime or catalogue.runtimes()[spec.runtime.name]
    accelerator = accelerator or catalogue.accelerators()[spec.accelerator.type]
    engine = ENGINES[runtime.engine]
    found = engine.obstacle(spec, runtime, accelerator)
    assert found is None, found
    return render_revision(of, spec, runtime, accelerator, engine)


def pod_of(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = record.objects["deployment"]["spec"]["template"]["spec"]
    return found


def engine_of(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = pod_of(record)["containers"][0]
    return found


def samples() -> Iterator[tuple[str, InferenceService]]:
    """The InferenceServices among the samples, by the name of their file."""
    for path in sorted(SAMPLES.glob("*.yaml")):
        raw = yaml.safe_load(path.read_text())
        if raw["kind"] == "InferenceService":
            raw["metadata"]["uid"] = UID
            yield path.stem, InferenceService.model_validate(raw)


def sampled_runtimes() -> dict[str, ServingRuntimeSpec]:
    raw = yaml.safe_load((SAMPLES / "servingruntime.yaml").read_text())
    admins = ServingRuntime.model_validate(raw)
    return catalogue.merged(catalogue.runtimes(), {admins.metadata.name: admins.spec})


def sampled_accelerators() -> dict[str, AcceleratorSpec]:
    raw = yaml.safe_load((SAMPLES / "accelerator.yaml").read_text())
    admins = Accelerator.model_validate(raw)
    return catalogue.merged(catalogue.accelerators(), {admins.metadata.name: admins.spec})


cpus = st.one_of(
    st.integers(0, 999_999).map(str),
    st.integers(0, 999_999_999).map(lambda n: f"{n}m"),
    st.decimals(0, 1000, places=3).map(lambda d: f"{d:f}"),
)
sizes = st.builds(
    lambda number, unit: f"{number:f}{unit}",
    st.decimals(0, 99_999, places=3),
    st.sampled_from(["k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"]),
)
resources = st.fixed_dictionaries({}, optional={"cpu": cpus, "memory": sizes})
drains = st.fixed_dictionaries(
    {}, optional={"preStopSeconds": st.integers(0, 3600), "timeoutSeconds": st.integers(0, 86_400)}
)


@cache
def accelerators_of(engine: str) -> list[str]:
    """The accelerators for which the engine has an image."""
    runtime = catalogue.runtimes()[engine]
    model = next(model for model in MODELS.values() if model["uri"].partition(":")[0] in ENGINES[engine].sources)
    return [
        kind
        for kind, spec in sorted(catalogue.accelerators().items())
        if ENGINES[engine].image_for(Launch("chat", revision(service(model, choice={"type": kind})), runtime, spec))
    ]


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Anything that can be rendered: every engine, source and accelerator, and what an admin may set."""
    name = draw(st.sampled_from(sorted(ENGINES)))
    kind = draw(st.sampled_from(accelerators_of(name)))
    whole = ENGINES[name].parallel and not catalogue.accelerators()[kind].slice
    models = [model for model in MODELS.values() if model["uri"].partition(":")[0] in ENGINES[name].sources]
    base = catalogue.runtimes()[name].dump()
    runtime = ServingRuntimeSpec.model_validate(
        {
            **base,
            "drain": draw(drains),
            "resources": draw(resources),
            "sharedMemory": draw(sizes),
            "podLabels": draw(st.sampled_from([{}, {"inferops.dev/revision": "mine", "example.com/team": "a"}])),
            "imagePullSecrets": draw(st.sampled_from([[], ["mirror", "mirror"]])),
            "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
        }
    )
    of = service(
        draw(st.sampled_from(models)),
        {
            "name": name,
            "resources": draw(resources),
            "env": draw(st.sampled_from([[], [{"name": "A", "value": "$(B)"}, {"name": "B", "value": ""}]])),
        },
        {
            "type": kind,
            "count": draw(st.integers(1, 8)) if whole else 1,
            "spot": draw(st.booleans()),
        },
    )
    return rendered(of, runtime)
