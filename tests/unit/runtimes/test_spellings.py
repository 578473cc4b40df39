"""However a forbidden flag is spelled, it does not pass; and what the engine reads is what was checked."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from inferops import catalogue
from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes import ENGINES
from unit.render.building import MODELS, revision, service
from unit.runtimes.flags import ERRORS, LONG, SHORT, TAKES, forbidden

CLOSED = [(engine.name, flag) for engine in ENGINES.values() for flag in (*engine.rules.reserved, *engine.rules.denied)]
OPEN = [
    (name, flag)
    for name, flags in LONG.items()
    for flag in flags
    if not forbidden(flag.replace("_", "-"), [*ENGINES[name].rules.reserved, *ENGINES[name].rules.denied])
]


def judged(engine: str, args: list[str]) -> Obstacle | None:
    model = next(model for model in ("pvc", "oci") if model in ENGINES[engine].sources)
    count = 4 if ENGINES[engine].parallel else 1
    of = service(MODELS[model], {"name": engine, "args": args}, {"type": "nvidia-h100-80gb", "count": count})
    return ENGINES[engine].obstacle(
        revision(of), catalogue.runtimes()[engine], catalogue.accelerators()["nvidia-h100-80gb"]
    )


@pytest.mark.parametrize(("engine", "flag"), OPEN)
def test_every_other_flag_of_the_engine_passes(engine: str, flag: str) -> None:
    value = "2" if flag.replace("_", "-") in ("--pipeline-parallel-size", "--pp-size") else "x"
    assert judged(engine, [f"{flag}={value}"]) is None
    assert judged(engine, [flag.replace("-", "_").replace("__", "--", 1), value]) is None


@pytest.mark.parametrize(("engine", "flag"), CLOSED)
def test_no_forbidden_flag_passes_in_full(engine: str, flag: str) -> None:
    found = judged(engine, ["--max-num-seqs", "8", flag.replace("*", "anything")])
    assert found is not None
    assert found.reason is Reason.ARGUMENT_NOT_ALLOWED
    assert found.message.startswith("spec.runtime.args[2]: --")


DANGEROUS = re.compile(
    "trust.remote.code|plugin|custom.(module|weight|tokenizer|logit)|middleware|-cls$|-directory$|working-dir|sidecar"
    "|storage-backend|external-linker|forward-hooks|tool-server|api-key|ssl-|-config-file$|^--config$|chat.template$"
)


@pytest.mark.parametrize(
    ("engine", "flag"), [(name, flag) for name, flags in LONG.items() for flag in flags if DANGEROUS.search(flag)]
)
def test_what_loads_code_or_files_or_weakens_security_is_closed(engine: str, flag: str) -> None:
    found = judged(engine, [f"{flag}=x"])
    assert found is not None and found.reason is Reason.ARGUMENT_NOT_ALLOWED


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_no_value_passes_that_is_written_as_a_flag(engine: str) -> None:
    found = judged(engine, ["--anything=--port"])
    assert found is not None and "the value of --anything is written as a flag" in found.message


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """A forbidden flag, spelled in one of the many ways that a parser may take."""
    engine, flag = draw(st.sampled_from(CLOSED))
    name = flag[2:].replace("*", draw(st.sampled_from(["", "x", "size", "x-y"])))
    if draw(st.booleans()):
        name = name[: draw(st.integers(1, len(name)))]
    name = "".join(
        draw(st.sampled_from("-_")) if letter == "-" and index else letter for index, letter in enumerate(name)
    )
    name = draw(st.sampled_from(["", "no-", "no_"])) + name
    name = draw(st.sampled_from([name, name.upper(), name.title()]))
    return engine, f"--{name}{draw(st.sampled_from(['', '=1', '=', '.key=1', '.a.b+=1', '.key']))}"


@given(spellings(), st.lists(st.sampled_from(["--seed=1", "--dtype", "auto", "--stream_interval", "2"]), max_size=4))
@example(("vllm", "--por"), [])
@example(("vllm", "--trust_remote_code"), [])
@example(("vllm", "--kv-transfer-config.kv_connector_module_path=evil"), [])
def test_no_spelling_passes(spelled: tuple[str, str], before: list[str]) -> None:
    engine, word = spelled
    before = before if not before or before[0].startswith("--") else before[1:]
    assume(before == [] or before[0].startswith("--"))
    assume(word.partition("=")[0].partition(".")[0].replace("_", "-").lower() != "--reasoning-parser")
    found = judged(engine, [*before, word])
    assert found is not None and found.reason is Reason.ARGUMENT_NOT_ALLOWED
    assert found.message.startswith(f"spec.runtime.args[{len(before)}]: ")


@pytest.mark.parametrize(
    "short", [*SHORT, "-tp=2", "-tp2", "-q=fp8", "-O3", "-O", "-O.level=3", "-", "--", "-x", "-0.5"]
)
def test_no_short_form_passes(short: str) -> None:
    found = judged("vllm", ["--seed", "1", short])
    assert found is not None and "write --name=value with two dashes" in found.message


OPERATORS = {
    "vllm": ["--port", "--tensor-parallel-size", "--shutdown-timeout"],
    "triton": ["--model-repository", "--http-port", "--exit-timeout-secs"],
    "onnxruntime": ["--model-repository", "--http-port", "--exit-timeout-secs"],
    "sglang": ["--model-path", "--port", "--tp-size"],
    "tensorrt-llm": ["--backend", "--port", "--tp_size"],
    "text-embeddings-inference": ["--model-id", "--hostname", "--port"],
    "bentoml": ["--production", "--host", "--port"],
}
FRAGMENTS = st.sampled_from([flag for flags in LONG.values() for flag in flags] + SHORT)
WORDS = st.one_of(
    FRAGMENTS,
    FRAGMENTS.map(lambda flag: flag.replace("-", "_").replace("__", "--", 1)),
    st.builds(lambda flag, end: flag[: max(3, end)], FRAGMENTS, st.integers(3, 20)),
    st.builds(
        lambda flag, tail: flag + tail, FRAGMENTS, st.sampled_from(["=1", ".a=1", ".a", ".a+=1", "=--port", "=a.b"])
    ),
    FRAGMENTS.map(lambda flag: "--no-" + flag.lstrip("-")),
    st.sampled_from(
        ["1", "-1", "-0.5", "a.b", "{}", "--", "-", "a=b", "--=", "--.a", "--port\t", " --port", "\n--port"]
    ),
    st.text(min_size=1, max_size=6),
)


@pytest.mark.parametrize("engine", sorted(ENGINES))
@given(args=st.lists(WORDS, min_size=1, max_size=5))
@example(args=["--timeout-keep-alive"])
@example(args=["--context_parallel_size=--port"])
def test_what_passes_holds_no_forbidden_flag_as_the_engine_reads_it(engine: str, args: list[str]) -> None:
    rules = ENGINES[engine].rules
    try:
        found = judged(engine, args)
    except ValueError:
        return  # the resource itself refuses the words
    if found is not None:
        return
    try:
        taken = TAKES[engine](args)
    except ERRORS:
        return  # the engine refuses them and says why
    assert not [flag for flag in taken if forbidden(flag, [*rules.reserved, *rules.denied])]
    own = [flag if flag == "--production" else f"{flag}=1" for flag in OPERATORS[engine]]
    together = [*own, *args] if ENGINES[engine].swallows else [*args, *own]
    assert set(OPERATORS[engine]) <= TAKES[engine](together)
