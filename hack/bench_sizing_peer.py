"""Predictions of the peer, aiconfigurator-core, by its own SDK. Runs in the environment that it is installed in.

Reads cases as JSON lines from stdin, writes one JSON line each to stdout: seconds to the first token and a token, and
whether by its measured tables alone; or why it predicts none.
"""

import json
import logging
import sys
from functools import cache
from typing import Any

from aiconfigurator_core.sdk.backends.factory import get_backend  # type: ignore[import-not-found]
from aiconfigurator_core.sdk.config import RuntimeConfig  # type: ignore[import-not-found]
from aiconfigurator_core.sdk.config_builders import build_model_config  # type: ignore[import-not-found]
from aiconfigurator_core.sdk.models import get_model  # type: ignore[import-not-found]
from aiconfigurator_core.sdk.models.helpers import (  # type: ignore[import-not-found]
    resolve_context_fmha_by_data,
    resolve_nvfp4_for_system,
)
from aiconfigurator_core.sdk.perf_database import (  # type: ignore[import-not-found]
    get_database_view,
    get_latest_database_version,
)

# Measured tables first, as its command line does, then tables with formulas for what they lack; for the formats of the
# case, then for those of its own copy of the model's config.json. Over all cases its errors are smallest in this order.
ATTEMPTS = (("SILICON", True), ("HYBRID", True), ("SILICON", False), ("HYBRID", False))


@cache
def database(system: str, engine: str, mode: str) -> Any:
    version = get_latest_database_version(system=system, backend=engine)
    return get_database_view(
        system, engine, version, allow_missing_data=mode != "SILICON", database_mode=mode, transfer_policy=None
    )


@cache
def model(
    name: str, system: str, engine: str, mode: str, widths: tuple[int, int, int, int], formats: tuple[str, str]
) -> Any:
    tensor, attention, split, spread = widths
    gemm, experts = formats
    built = build_model_config(tensor, 1, attention, split, spread, gemm or None, None, None, experts or None)
    built.nextn = 0
    resolve_context_fmha_by_data(built, name, database(system, engine, mode), engine, is_context_role=True)
    resolve_nvfp4_for_system(built, system, name, backend_name=engine)
    return get_model(name, built, engine)


def predict(case: dict[str, Any], mode: str, as_stated: bool) -> dict[str, float]:
    """Seconds for one case. Raises what the package raises, which is much."""
    formats = (case["gemm"], case["moe"]) if as_stated else ("", "")
    where = (case["system"], case["engine"], mode)
    made = model(case["model"], *where, tuple(case["widths"]), formats)
    load = RuntimeConfig(isl=case["prompt"], osl=case["output"], batch_size=case["batch"])
    run = get_backend(case["engine"]).run_agg(made, database(*where), load, ctx_tokens=case["prompt"])
    result = run.get_result_dict()
    return {"ttft": result["ttft"] / 1000, "tpot": result["tpot"] / 1000}


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """The first attempt that succeeds, or the first one's error."""
    why = ""
    for mode, as_stated in ATTEMPTS:
        try:
            return {
                "id": case["id"],
                "measured": mode == "SILICON",
                "as_stated": as_stated,
                **predict(case, mode, as_stated),
            }
        except Exception as error:  # its SDK raises errors of many kinds for what it has no data of
            why = why or f"{type(error).__name__}: {error}"
    return {"id": case["id"], "why": why.splitlines()[0][:200]}


def main() -> None:
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
