"""Accelerators: gathered from limits, node selectors, profiles and arguments, and written once all are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inferops.catalogue import accelerators, runtimes
from inferops.convert.ledger import Draft, Field
from inferops.runtimes import ENGINES

SPOT = {  # labels of nodes by which clouds tell spot nodes
    "cloud.google.com/gke-spot": "true",
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
# KubeAI's profiles by what its chart calls them.
PROFILES = {
    "nvidia-gpu-l4": "nvidia-l4",
    "nvidia-gpu-l40s": "nvidia-l40s",
    "nvidia-gpu-h100": "nvidia-h100-80gb",
    "nvidia-gpu-a100-80gb": "nvidia-a100-80gb",
    "nvidia-gpu-a100-40gb": "nvidia-a100-40gb",
    "amd-gpu-mi300x": "amd-mi300x",
}
NAME_IT = "convert with --accelerator TYPE, or write spec.accelerators: [{{type: TYPE, count: {count}}}]"


@dataclass
class Gpus:
    """What the input says of the accelerators of a replica, with the fields that say it."""

    limits: list[Field] = field(default_factory=list)  # how many a pod asks for
    parallel: dict[str, list[tuple[Field, int]]] = field(default_factory=dict)  # tensor, pipeline
    types: list[tuple[Field, str]] = field(default_factory=list)
    spot: list[Field] = field(default_factory=list)
    nodes: int = 1

    def named(self, axis: str, given: Field, number: int) -> None:
        """A degree of parallelism by `given`; of several the last wins, as engines have it."""
        self.parallel.setdefault(axis, []).append((given, number))

    def degree(self, axis: str) -> int:
        return self.parallel[axis][-1][1] if axis in self.parallel else 1

    def count(self) -> int:
        """Accelerators of a replica over all of its nodes."""
        asked = next((number for given in self.limits if (number := whole(given.value))), 0)
        by_degree = self.degree("tensor") * self.degree("pipeline")
        return max(asked * self.nodes, by_degree, 1)

    def sayers(self) -> Iterator[Field]:
        yield from self.limits
        for given in self.parallel.values():
            yield from (each for each, _ in given)


def whole(value: object) -> int:
    """The number of a quantity such as 2 or "2"; 0: it is none."""
    if type(value) is int:
        return max(value, 0)
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6 else 0


def is_gpu(resource: str) -> bool:
    """Whether an extended resource is a GPU or a slice of one."""
    return resource in {spec.resource_name for spec in accelerators().values()} or resource.startswith("nvidia.com/mig")


def read_selector(gpus: Gpus, selector: Field) -> None:
    """Find accelerators and spot in a node selector; what says neither stays unsaid."""
    for key, each in selector.fields():
        if SPOT.get(key) == each.value:
            gpus.spot.append(each)
        else:
            names = [name for name, spec in accelerators().items() if _selects(spec.node_labels, key, each.value)]
            if len(names) == 1:
                gpus.types.append((each, names[0]))


def _selects(labels: object, key: str, value: object) -> bool:
    return any(each.key == key and value in each.values for each in labels)  # type: ignore[attr-defined]


def carry(draft: Draft, gpus: Gpus) -> None:
    """Write spec.accelerators where a type is known, and say what became of every field that speaks of them."""
    kind = draft.options.accelerator or next((name for _, name in gpus.types), "")
    if not kind:
        kind = _only_type_of(gpus)
    if not kind:
        _without_type(draft, gpus)
        return
    choice = ("spec", "accelerators", 0)
    draft.put((*choice, "type"), kind)
    for given, name in gpus.types:
        if name == kind:
            given.counted(*choice, "type")
        else:
            given.lost(f"it says {name}, and {kind} was taken", "write a second choice in spec.accelerators")
    count, nodes = gpus.count(), gpus.nodes
    for given in gpus.sayers():
        given.counted(*choice, "count")
    draft.put((*choice, "count"), count)
    if nodes > 1:
        draft.put((*choice, "nodes"), nodes)
    for given in gpus.spot:
        given.became(*choice, "spot", value=True)


def _only_type_of(gpus: Gpus) -> str:
    """The one type that offers the extended resource which is asked for."""
    asked = {str(given.path[-1]) for given in gpus.limits}
    names = [name for name, spec in accelerators().items() if spec.resource_name in asked]
    return names[0] if len(names) == 1 else ""


def _without_type(draft: Draft, gpus: Gpus) -> None:
    name_it = NAME_IT.format(count=gpus.count())
    runtime = runtimes().get(draft.got(("spec", "runtime", "name")) or "vllm")
    sized = runtime is None or ENGINES[runtime.engine].takes_memory is not None
    then = "without it sizing chooses both" if sized else "what this engine serves cannot be sized, so it must be named"
    for given in gpus.sayers():
        given.lost(f"a number of accelerators needs their type, which is not told; {then}", name_it)
    for given in gpus.spot:
        given.lost("spot belongs to a choice of accelerators, and no type is told", name_it)
    if not any(True for _ in gpus.sayers()):
        then = (
            "sizing takes the cheapest that fits" if sized else "one must be named, since sizing knows no such models"
        )
        draft.differs(f"no GPU is asked for: ours run on accelerators; {then}", name_it, "spec")
