"""A bench node looks like a real one: every profile is what the catalogue of accelerators recognises."""

import pytest

from inferops.catalogue import accelerators
from nodeagent.hardware import GPUS, SLICES
from nodeagent.profiles import named, parse_nodes

EVERY_NAME = [*GPUS, *(f"{gpu}-mig-{piece.profile}" for gpu, pieces in SLICES.items() for piece in pieces)]


def recognised(labels: dict[str, str], resources: dict[str, int]) -> set[str]:
    """The catalogue's accelerators that a node with these labels has, of which it has some to give."""
    return {
        name
        for name, spec in accelerators().items()
        if any(labels.get(label.key) in label.values for label in spec.node_labels)
        and resources.get(spec.resource_name, 0) > 0
    }


@pytest.mark.parametrize("name", EVERY_NAME)
def test_a_node_is_recognised_as_the_accelerator_of_its_name(name):
    profile = named(name, gpus=4)
    assert recognised(profile.labels("n"), profile.devices) == {name}
    assert profile.accelerator == name


@pytest.mark.parametrize("name", [name for name in EVERY_NAME if name.startswith("nvidia-")])
def test_labels_and_catalogue_agree_on_the_memory(name):
    profile = named(name)
    label = f"{profile.slice.resource}.memory" if profile.slice else "nvidia.com/gpu.memory"
    gib = int(profile.labels("n")[label]) / 1024
    stated = accelerators()[name].memory_gib
    assert stated - 0.01 < gib < stated + 1.1  # whole GPUs to two digits, slices rounded down


@pytest.mark.parametrize("name", sorted(set(accelerators())))
def test_the_bench_has_every_accelerator_of_the_catalogue(name):
    assert named(name).accelerator == name


def test_an_amd_node_is_labelled_by_amd_s_labeller():
    profile = named("amd-mi300x")
    labels = profile.labels("n")
    assert labels["amd.com/gpu.vram"] == f"{accelerators()['amd-mi300x'].memory_gib:.0f}G"
    assert not any(key.startswith("nvidia.com/") for key in (*labels, *profile.capacity()))
    assert [taint["key"] for taint in profile.taints()] == ["amd.com/gpu"]


def test_every_taint_of_a_gpu_node_is_tolerated_by_its_accelerator():
    for name, spec in accelerators().items():
        (profile,) = parse_nodes(f"8x{name}:cloud=gke")
        tolerated = {toleration.key for toleration in spec.tolerations}
        assert {taint["key"] for taint in profile.taints()} <= tolerated, name


@pytest.mark.parametrize("name", EVERY_NAME)
def test_clouds_without_feature_discovery_are_recognised_by_the_machine_s_type(name):
    for cloud in named(name).gpu.machines:
        (profile,) = parse_nodes(f"8x{name}:cloud={cloud}")
        of_the_cloud = {
            key: value for key, value in profile.labels("n").items() if not key.startswith(("nvidia.com/", "amd.com/"))
        }
        whole = profile.slice is None
        assert recognised(of_the_cloud, profile.devices) == ({profile.gpu_type} if whole else set()), cloud


@pytest.mark.parametrize("cloud", ["gke", "karpenter", "eks", "aks"])
@pytest.mark.parametrize("gpu", list(GPUS))
def test_a_cloud_s_own_labels_do_not_contradict(gpu, cloud):
    (profile,) = parse_nodes(f"1x8x{gpu}:cloud={cloud}")
    assert recognised(profile.labels("n"), profile.devices) == {gpu}


def test_nodes_are_read_from_a_text():
    nodes = parse_nodes("2x8xnvidia-h100-80gb, 8xnvidia-h200:spot,1x4xnvidia-l4:zone=b:region=eu:zone=eu-c,1xmig,1xcpu")
    assert [node.devices.get("nvidia.com/gpu", 0) for node in nodes] == [8, 8, 8, 4, 0, 0]
    assert [node.short for node in nodes] == [
        "h100-80gb",
        "h100-80gb",
        "h200",
        "l4",
        "h100-80gb-mig-1g-10gb",
        "cpu",
    ]
    assert nodes[2].labels("n")["cloud.google.com/gke-spot"] == "true"
    assert nodes[3].labels("n")["topology.kubernetes.io/zone"] == "eu-c"
    assert nodes[4].capacity()["nvidia.com/mig-1g.10gb"] == "56"
    assert nodes[4].capacity()["nvidia.com/gpu"] == "0"
    assert not any(name.startswith("nvidia.com/") for name in (*nodes[5].capacity(), *nodes[5].labels("n")))


@pytest.mark.parametrize(
    ("cloud", "label", "value"),
    [
        ("gke", "cloud.google.com/gke-spot", "true"),
        ("eks", "eks.amazonaws.com/capacityType", "SPOT"),
        ("aks", "kubernetes.azure.com/scalesetpriority", "spot"),
        ("karpenter", "karpenter.sh/capacity-type", "spot"),
    ],
)
def test_spot_nodes_are_marked_as_their_cloud_marks_them(cloud, label, value):
    (spot,) = parse_nodes(f"1x8xnvidia-h100-80gb:cloud={cloud}:spot")
    (other,) = parse_nodes(f"1x8xnvidia-h100-80gb:cloud={cloud}")
    assert spot.labels("n")[label] == value
    assert other.labels("n").get(label) != value


@pytest.mark.parametrize("name", EVERY_NAME)
def test_less_can_be_allocated_than_there_is_but_every_device_can(name):
    profile = named(name)
    capacity, allocatable = profile.capacity(), profile.allocatable()
    assert capacity.keys() == allocatable.keys()
    assert capacity["memory"] != allocatable["memory"]
    assert all(allocatable[device] == str(count) for device, count in profile.devices.items())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nvidia-h100-80gb", "write [NODESx]GPUSxGPU"),
        ("0xnvidia-h200", "a node has at least one"),
        ("2x8xnvidia-h1000", "no GPU 'nvidia-h1000'; there are nvidia-l4"),
        ("1x8xnvidia-l4-mig-1g.10gb", "nvidia-l4 has no MIG profile '1g.10gb'"),
        ("1x8xnvidia-h200-mig-1g.10gb", "there are 1g.18gb"),
        ("1x8xnvidia-h200:cloud=ovh", "option 'cloud=ovh'"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_remedy(text, says):
    with pytest.raises(ValueError, match=r"^nodes: ") as refusal:
        parse_nodes(text)
    assert says in str(refusal.value)
