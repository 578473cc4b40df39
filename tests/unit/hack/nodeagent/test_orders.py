"""What people order: faults by annotation, images that cannot be pulled, and which commands are engines."""

import pytest

from nodeagent.faults import CRASH, HANG, Fault, Orders
from nodeagent.images import Images
from nodeagent.process import Command, engine_of


def annotated(**annotations):
    return {"metadata": {"annotations": annotations}}


def test_a_value_strikes_once():
    orders = Orders()
    pod = annotated(**{CRASH: "1"})
    assert orders.due(pod) == [Fault(1)]
    assert orders.due(pod) == []
    assert orders.due(annotated(**{CRASH: "2:137"})) == [Fault(137)]
    assert orders.due(annotated()) == []


def test_always_strikes_at_each_start_and_never_between():
    orders = Orders()
    pod = annotated(**{CRASH: "always:3"})
    assert orders.due(pod, starting=True) == [Fault(3)]
    assert orders.due(pod) == []
    assert orders.due(pod, starting=True) == [Fault(3)]


def test_hanging_and_crashing_are_told_apart():
    assert Orders().due(annotated(**{HANG: "now", CRASH: "1"})) == [Fault(1), Fault(None)]


def test_images_fail_by_glob_until_they_are_allowed():
    images = Images()
    images.fail("*/vllm-openai:*")
    assert "failed to resolve" in (images.obstacle("docker.example/vllm-openai:v9") or "")
    assert images.obstacle("docker.example/triton:1") is None
    images.allow("*/vllm-openai:*")
    assert images.obstacle("docker.example/vllm-openai:v9") is None
    with pytest.raises(KeyError):
        images.allow("*/vllm-openai:*")


@pytest.mark.parametrize(
    ("argv", "image", "found"),
    [
        (["vllm", "serve", "m"], "any:1", ("vllm", ["vllm", "serve", "m"])),
        (["/usr/bin/vllm", "serve", "m"], "any:1", ("vllm", ["/usr/bin/vllm", "serve", "m"])),
        (["--model", "m"], "vllm-openai:v1", ("vllm", ["vllm", "serve", "--model", "m"])),
        (["tritonserver", "--model-repository=/m"], "any:1", ("triton", ["tritonserver", "--model-repository=/m"])),
        (["/opt/nvidia/nvidia_entrypoint.sh", "tritonserver"], "any:1", ("triton", ["tritonserver"])),
        (
            ["python3", "-m", "sglang.launch_server", "--model-path=m"],
            "any:1",
            ("sglang", ["python3", "-m", "sglang.launch_server", "--model-path=m"]),
        ),
        (["/opt/nvidia/nvidia_entrypoint.sh", "trtllm-serve", "m"], "any:1", ("tensorrt-llm", ["trtllm-serve", "m"])),
        (
            ["/entrypoint.sh", "--model-id=m"],
            "mirror/text-embeddings-inference:89-1.9.3",
            ("text-embeddings-inference", ["text-embeddings-router", "--model-id=m"]),
        ),
        (["/home/bentoml/bento/env/docker/entrypoint.sh", "serve"], "fraud:1", ("bentoml", ["serve"])),
        (["sleep", "infinity"], "vllm-openai:v1", None),
        ([], "busybox", None),
    ],
)
def test_engines_are_told_by_their_command(argv, image, found):
    assert engine_of(Command(image=image, argv=argv, env={})) == found
