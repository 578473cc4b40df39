"""The benchmark of sizing: its constants are found again, its rows put right and sorted out by what they say alone."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import pytest
import yaml

from bench_sizing import judge
from bench_sizing_fit import fit
from bench_sizing_rows import Row, doubtful, read, sort_out
from inferops.core import latency
from inferops.core.calibration import CALIBRATED, Work
from inferops.core.facts import Precision
from inferops.core.replica import Replica
from unit.core.loads import LATENT, MIXTURE, accelerator
from unit.core.models import LLAMA2_70B, LLAMA31_8B

RECORD = {
    "id": "a",
    "silicon_data_source": "silicon_concurrency=8",
    "backend": "vllm",
    "model_path": "Qwen/Qwen3-32B",
    "system": "h100_sxm",
    "mode": "agg",
    "isl": "1024",
    "osl": "512",
    "gemm_quant_mode": "fp8",
    "moe_quant_mode": "fp8",
    "batch_size": "8",
    "tp_size": "2",
    "attention_dp_size": "1",
    "moe_tp_size": "1",
    "moe_ep_size": "1",
    "silicon_ttft_ms": "300",
    "silicon_tpot_ms": "12.5",
}
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "num_hidden_layers": 64,
    "hidden_size": 5120,
    "intermediate_size": 25600,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "torch_dtype": "bfloat16",
}
SYSTEM = {
    "gpu": {"mem_bw": 3.35e12, "mem_capacity": 80 * 2**30, "bfloat16_tc_flops": 989e12, "fp8_tc_flops": 1978e12},
    "node": {"intra_node_bw": 450e9, "num_gpus_per_node": 8},
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one model on one accelerator, and a table that `write` fills."""
    (tmp_path / "systems").mkdir()
    (tmp_path / "model_configs").mkdir()
    (tmp_path / "model_configs" / "Qwen--Qwen3-32B_config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "systems" / "h100_sxm.yaml").write_text(yaml.safe_dump(SYSTEM))
    small = {**SYSTEM, "gpu": {**SYSTEM["gpu"], "mem_capacity": 24e9}}
    (tmp_path / "systems" / "l4.yaml").write_text(yaml.safe_dump(small))
    return tmp_path


def rows_of(package: Path, *changes: dict[str, str]) -> list[Row]:
    with open(package / "systems" / "silicon_sample.csv", "w", newline="") as table:
        writer = csv.DictWriter(table, RECORD)
        writer.writeheader()
        writer.writerows(RECORD | change for change in changes)
    return read(package)


def works() -> list[Work]:
    """The work of many replicas under many loads."""
    drawn = Random(7)
    found = []
    for facts in (LLAMA31_8B, LLAMA2_70B, MIXTURE, LATENT):
        for _ in range(60):
            replica = Replica(facts, accelerator(), drawn.choice([1, 2, 4, 8]))
            prompt, output = drawn.choice([128, 1024, 8192]), drawn.choice([128, 1024])
            found.append(latency.token_work(replica, prompt, output, drawn.choice([1, 4, 16, 64, 256])))
    return found


def test_the_fit_finds_the_constants_that_made_the_measurements() -> None:
    found = fit([(work, CALIBRATED.seconds(work)) for work in works()])
    for name, value in asdict(CALIBRATED).items():
        assert getattr(found, name) == pytest.approx(value, rel=0.1), name


def test_a_few_wild_measurements_do_not_move_it() -> None:
    measured = [
        (work, CALIBRATED.seconds(work) * (5 if number % 20 == 0 else 1)) for number, work in enumerate(works())
    ]
    found = fit(measured)
    errors = [abs(found.seconds(work) / CALIBRATED.seconds(work) - 1) for work, _ in measured]
    assert sum(errors) / len(errors) < 0.02


def test_the_fit_never_beats_the_data_sheet() -> None:
    found = fit([(work, CALIBRATED.seconds(work) / 10) for work in works()])
    for name, value in asdict(found).items():
        assert value >= 0 if name.endswith("_seconds") else 0 < value <= 1 + 1e-9


def test_a_row_becomes_a_replica_with_the_figures_of_the_package(package: Path) -> None:
    (row,) = rows_of(package, {})
    kept, left, _ = sort_out(package, [row])
    ((_, replica, running),) = kept
    assert not left
    assert running == row.concurrency == 8
    assert (replica.tensor_parallel, replica.precision) == (2, Precision.FP8)
    assert replica.accelerator.bandwidth_gbps == 3350
    assert replica.facts.params == pytest.approx(32.8e9, rel=0.01)
    assert (row.ttft, row.tpot) == (0.3, 0.0125)


@pytest.mark.parametrize(
    ("case", "sizes", "widths"),
    [
        ("as they are", ("4", "1", "4", "1"), (4, 1, 1)),
        ("experts spread", ("4", "1", "1", "4"), (4, 1, 4)),
        ("copies of the attention", ("1", "4", "1", "4"), (1, 4, 4)),
        ("the GPUs of a node, squared", ("64", "1", "8", "8"), (8, 1, 8)),
        ("with copies of the attention", ("1", "64", "8", "8"), (1, 8, 8)),
        ("both told as the number of GPUs", ("4", "4", "1", "16"), (1, 4, 4)),
        ("a source without copies states them right", ("4", "", "2", "2"), (4, 1, 2)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_widths(package: Path, case: str, sizes: tuple[str, ...], widths: tuple[int, int, int]) -> None:
    columns = ("tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    (row,) = rows_of(package, dict(zip(columns, sizes, strict=True)))
    assert (row.tensor_parallel, row.attention_parallel, row.expert_parallel) == widths, case


def test_what_stands_in_two_sources_counts_once_and_two_measurements_twice(package: Path) -> None:
    rows = rows_of(package, {"id": "a"}, {"id": "b"}, {"id": "c", "silicon_tpot_ms": "13.5"})
    assert sorted(row.tpot for row in rows) == [0.0125, 0.0135]


def test_engines_that_only_decode_are_not_read(package: Path) -> None:
    assert rows_of(package, {"mode": "disagg"}) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"silicon_data_source": "silicon_concurrency=16"}, "concurrency"),
        ({"silicon_data_source": "no word of it"}, "concurrency"),
        ({"tp_size": "16"}, "rack"),
        ({"tp_size": "1", "system": "l4"}, "do not fit"),
    ],
)
def test_left_out(package: Path, change: dict[str, str], reason: str) -> None:
    kept, left, reasons = sort_out(package, rows_of(package, change))
    assert not kept
    assert reason in reasons[0]
    assert left[reasons[0]] == 1


def test_no_more_run_than_the_cache_holds(package: Path) -> None:
    load = {"batch_size": "512", "silicon_data_source": "silicon_concurrency=512", "tp_size": "1"}
    ((row, _, running),) = sort_out(package, rows_of(package, load))[0]
    assert 1 <= running < row.concurrency


def test_doubtful_by_what_the_row_says_alone(package: Path) -> None:
    (row,) = rows_of(package, {})
    assert doubtful(row) == ""
    assert "waited" in doubtful(replace(row, ttft=row.output * row.tpot * 1.01))
    image = replace(row, shape="deepseek-ai/DeepSeek-V3", source="image=x/tensorrt-llm/release:1.2.0rc6.post3")
    assert "tokens a step" in doubtful(image)
    assert doubtful(replace(image, source="image=x/tensorrt-llm/release:1.2.0rc6.post2")) == ""


def test_no_model_is_judged_by_constants_that_saw_it(package: Path) -> None:
    """Whatever is measured of one family, predictions for it stay; those for others follow."""
    (row,) = rows_of(package, {})
    measured = [
        (replace(row, id=f"{shape} {number}", shape=shape, concurrency=number), Replica(facts, accelerator()), number)
        for shape, facts in (("a/one", LLAMA31_8B), ("a/other", LLAMA2_70B))
        for number in (1, 8, 64)
    ]

    def held_out(slower: float) -> dict[str, float]:
        kept = [
            (replace(case, tpot=case.tpot * (slower if case.family == "one" else 1)), replica, float(number))
            for case, replica, number in measured
        ]
        answers = {case.id: {"tpot": 0.01, "measured": True} for case, _, _ in kept}
        return {case.row.id: case.held_out for case in judge(kept, answers)}

    before, after = held_out(1), held_out(3)
    assert {id for id in before if before[id] == after[id]} == {"a/one 1", "a/one 8", "a/one 64"}
