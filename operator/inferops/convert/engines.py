"""Which engine of ours a runtime's name or a container's image means."""

from __future__ import annotations

from inferops.convert.ledger import Field

# The first that a name holds.
WORDS = (
    ("text-embeddings", "text-embeddings-inference"),
    ("trtllm", "tensorrt-llm"),
    ("tensorrt-llm", "tensorrt-llm"),
    ("tensorrt_llm", "tensorrt-llm"),
    ("sglang", "sglang"),
    ("vllm", "vllm"),
    ("llm-d", "vllm"),
    ("huggingfaceserver", "vllm"),
    ("triton", "triton"),
    ("bentoml", "bentoml"),
)


def by_name(name: str) -> str:
    """The engine that a runtime's name or an image tells; empty: none."""
    return next((engine for word, engine in WORDS if word in name.lower()), "")


def by_image(container: Field) -> str:
    """The engine of a container, by its image, else by its command; empty: none."""
    words = [container["image"].text(), *(each.text() for each in container["command"].items())]
    return next((engine for word in words if (engine := by_name(word))), "")
