"""The measurements that `make bench-sizing` judges by: read, put right, sorted out, and as replicas of ours.

They are rows of a table in NVIDIA's package aiconfigurator-core: engines on GPUs, with TTFT and TPOT in a closed loop.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from inferops.api.accelerator import AcceleratorSpec
from inferops.core import memory
from inferops.core.config_json import facts_of
from inferops.core.facts import ModelFacts, Precision
from inferops.core.replica import Replica

# Under which name the package has the config.json of a model that its table names otherwise. The shape is the same.
SHAPE_OF = {
    "deepseek-ai/DeepSeek-R1": "deepseek-ai/DeepSeek-V3",
    "nvidia/DeepSeek-R1-NVFP4": "deepseek-ai/DeepSeek-V3",
    "nvidia/DeepSeek-V3.1-NVFP4": "deepseek-ai/DeepSeek-V3",
    "nvidia/Qwen3-32B-NVFP4": "Qwen/Qwen3-32B",
    "meta-llama/Llama-3.1-70B": "meta-llama/Meta-Llama-3.1-70B",
    "meta-llama/Llama-3.1-8B-Instruct": "meta-llama/Meta-Llama-3.1-8B",
    "nvidia/Llama-3.1-8B-Instruct-FP8": "meta-llama/Meta-Llama-3.1-8B",
    "zhipuai/GLM-5": "zai-org/GLM-5",
}
# Models that are variants of one are held out of the calibration together.
FAMILY = {"deepseek-ai/DeepSeek-V3": "DeepSeek-V3/R1", "meta-llama/Meta-Llama-3.1-8B": "Llama-3.1-8B"}
PRECISION = {"fp8": Precision.FP8, "fp8_block": Precision.FP8, "nvfp4": Precision.NVFP4, "int4_wo": Precision.INT4}
MOST_GPUS = 8  # that one replica can have here: those of a node
# The image whose DeepSeek rows are 1.6 times as fast as others of the same configuration: it predicts several tokens a
# step, which no column tells.
SPECULATES = re.compile(r"tensorrt-llm/release:1\.2\.0rc6\.post3")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: an engine with a model on GPUs at so many requests at once. Times in seconds."""

    id: str
    model: str  # as the table names it
    shape: str  # as the package names its config.json
    system: str
    engine: str
    gemm: str  # formats as the table names them
    moe: str
    tensor_parallel: int
    attention_parallel: int  # copies of the attention, each with its own requests; the experts are spread over all
    expert_parallel: int
    prompt: int
    output: int
    concurrency: int
    ttft: float
    tpot: float
    source: str

    @property
    def family(self) -> str:
        """What is held out with it."""
        return FAMILY.get(self.shape, self.shape.rpartition("/")[2])

    @property
    def width(self) -> int:
        """GPUs that the model is spread over."""
        return self.tensor_parallel * self.attention_parallel


def read(package: Path) -> list[Row]:
    """All rows of engines that prefill and decode on the same GPUs, each measurement once."""
    with open(package / "systems" / "silicon_sample.csv", newline="", encoding="utf-8") as table:
        rows = [_row(record) for record in csv.DictReader(table) if record["mode"] == "agg"]
    return list({_identity(row): row for row in reversed(rows)}.values())[::-1]


def sort_out(package: Path, rows: list[Row]) -> tuple[list[tuple[Row, Replica, float]], Counter[str], list[str]]:
    """Rows with our replica and the concurrency that its KV cache holds; those left out by reason, and reasons' order.

    None is left out for how well it is predicted: each rule looks at the row alone.
    """
    kept: list[tuple[Row, Replica, float]] = []
    left: Counter[str] = Counter()
    for row in rows:
        reason = _unusable(row)
        replica = replica_of(package, row)
        tokens = 0 if reason else memory.kv_tokens(replica, row.prompt + row.output)
        if not reason and not tokens:
            reason = "its weights do not fit the GPUs that it names"
        if reason:
            left[reason] += 1
        else:
            kept.append((row, replica, min(row.concurrency, max(1.0, tokens / (row.prompt + row.output / 2)))))
    return kept, left, sorted(left)


def doubtful(row: Row) -> str:
    """Why the row was measured under other conditions than its columns say; empty: it is sure. Judged with and without.

    Of requests that waited longer than they decoded, fewer ran at once than the concurrency says.
    """
    if row.family == "DeepSeek-V3/R1" and SPECULATES.search(row.source.replace("#", "/")):
        return "doubtful: several tokens a step"
    if row.ttft > row.output * row.tpot:
        return "doubtful: waited longer than decoded"
    return ""


def replica_of(package: Path, row: Row) -> Replica:
    """The row's replica. TensorRT-LLM and NVIDIA's 4-bit checkpoints keep the KV cache in 8 bits."""
    facts = _facts(package, row.shape)
    precision = PRECISION.get(row.moe if facts.experts else row.gemm)
    if facts.precision is Precision.MXFP4:
        precision = None  # the table calls it nvfp4
    stored = facts.precision if precision is None else precision
    narrow = stored in (Precision.NVFP4, Precision.MXFP4) or (stored is Precision.FP8 and row.engine == "trtllm")
    kv = Precision.FP8 if narrow else Precision.BF16
    return Replica(facts, _accelerator(package, row.system), row.width, precision=precision, kv_precision=kv)


def families(rows: list[Row]) -> Iterator[str]:
    """Each family once, in order."""
    yield from sorted({row.family for row in rows})


def _row(record: dict[str, str]) -> Row:
    tensor, attention, experts = _widths(record)
    return Row(
        id=record["id"],
        model=record["model_path"],
        shape=SHAPE_OF.get(record["model_path"], record["model_path"]),
        system=record["system"],
        engine=record["backend"],
        gemm=record["gemm_quant_mode"],
        moe=record["moe_quant_mode"],
        tensor_parallel=tensor,
        attention_parallel=attention,
        expert_parallel=experts,
        prompt=int(record["isl"]),
        output=int(record["osl"]),
        concurrency=int(float(record["batch_size"])) * _number(record, "attention_dp_size"),
        ttft=float(record["silicon_ttft_ms"]) / 1000,
        tpot=float(record["silicon_tpot_ms"]) / 1000,
        source=record["silicon_data_source"],
    )


def _widths(record: dict[str, str]) -> tuple[int, int, int]:
    """Sizes of tensor, attention and expert parallelism.

    Where all three were told as the number of GPUs n, the table holds n x n: 64 GPUs for the 8 of a node.
    """
    tensor, copies = _number(record, "tp_size"), _number(record, "attention_dp_size")
    split, spread = _number(record, "moe_tp_size"), _number(record, "moe_ep_size")
    if not record["attention_dp_size"]:
        return tensor, copies, spread
    if split == spread > 1 and tensor * copies == spread**2:
        return (spread, 1, spread) if copies == 1 else (1, spread, spread)
    if copies > 1 and tensor == copies and spread == copies**2:
        return 1, copies, copies
    return tensor, copies, spread


def _number(record: dict[str, str], column: str) -> int:
    return max(1, int(record[column] or 1))


def _unusable(row: Row) -> str:
    stated = re.search(r"silicon_concurrency=([\d.]+)", row.source)
    if stated is None or float(stated[1]) != row.concurrency:
        return "its concurrency is not stated, or is that of several replicas"
    if row.width > MOST_GPUS:
        return "it counts the GPUs of a whole rack, of prefill and of decode"
    return ""


def _identity(row: Row) -> tuple[Any, ...]:
    """What is the same where one measurement stands in several of the table's sources."""
    shape = (row.model, row.system, row.engine, row.gemm, row.moe)
    widths = (row.tensor_parallel, row.attention_parallel, row.expert_parallel)
    return *shape, *widths, row.prompt, row.output, row.concurrency, f"{row.tpot:.3g}", _unusable(row)


@cache
def _facts(package: Path, shape: str) -> ModelFacts:
    path = package / "model_configs" / f"{shape.replace('/', '--')}_config.json"
    return facts_of(json.loads(path.read_text(encoding="utf-8")), shape)


@cache
def _accelerator(package: Path, system: str) -> AcceleratorSpec:
    """The accelerator with the figures that the package has of it, so that both predict for the same hardware."""
    figures = yaml.safe_load((package / "systems" / f"{system}.yaml").read_text(encoding="utf-8"))
    gpu, node = figures["gpu"], figures["node"]
    return AcceleratorSpec.model_validate(
        {
            "nodeLabels": [{"key": "nvidia.com/gpu.product", "values": [system]}],
            "memoryGiB": gpu["mem_capacity"] / 2**30,
            "bandwidthGBps": gpu["mem_bw"] / 1e9,
            "linkGBps": node["intra_node_bw"] / 1e9,
            "maxPerNode": max(8, node["num_gpus_per_node"]),
            "tflops": {
                ours: gpu[theirs] / 1e12
                for ours, theirs in (("bf16", "bfloat16_tc_flops"), ("fp8", "fp8_tc_flops"), ("fp4", "fp4_tc_flops"))
                if theirs in gpu
            },
        }
    )
