"""Arguments of engines: those that have a field of ours go there, those that users may pass stay, the rest is told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from inferops.api.formats import Argument
from inferops.convert.gpus import Gpus, whole
from inferops.convert.ledger import Draft, Field
from inferops.convert.sources import place_of
from inferops.runtimes import ENGINES
from inferops.runtimes.arguments import first_match

SHORT = {"-tp": "--tensor-parallel-size", "-pp": "--pipeline-parallel-size", "-q": "--quantization"}
NAMES = ("--served-model-name", "--model-name")
MODELS = ("--model", "--model-id", "--model-path")
FOLDERS = ("--model-dir", "--model-store", "--model-repository")
CONTEXT = ("--max-model-len", "--context-length", "--max-seq-len", "--max-length")
REVISION = ("--revision", "--model-revision")
TENSOR = ("--tensor-parallel-size", "--tp-size", "--tp")
PIPELINE = ("--pipeline-parallel-size", "--pp-size")
QUANTIZED = {"fp8": "fp8", "awq": "awq", "awq_marlin": "awq", "gptq": "gptq", "gptq_marlin": "gptq"}
LORA = ("--enable-lora", "--max-loras", "--max-cpu-loras", "--max-loras-per-batch")
# Of KServe's huggingfaceserver, by what they would do here.
HUGGING_FACE = {
    "--disable-lower-case": "it is the tokenizer's, beside the model",
    "--disable-special-tokens": "it is the tokenizer's, beside the model",
    "--tensor-input-names": "the open inference protocol is not spoken for language models",
    "--return-token-type-ids": "the open inference protocol is not spoken for language models",
    "--return-offsets-mapping": "the open inference protocol is not spoken for language models",
    "--return-probabilities": "ask for logprobs in requests",
    "--return-raw-logits": "ask for logprobs in requests",
    "--predictor-protocol": "requests come by the OpenAI API",
    "--predictor-host": "there is no transformer",
    "--workers": "replicas are scaled, not processes",
}
NEEDLESS = {
    "--backend": "the engine is chosen by spec.runtime.name",
    "--task": "it follows from the model",
    "--disable-log-requests": "no engine logs requests unless it is told to",
    "--max-log-len": "no engine logs requests unless it is told to",
}
RUNNABLE = ("vllm", "serve", "tritonserver", "text-embeddings-router", "trtllm-serve")
_ARGUMENT: TypeAdapter[str] = TypeAdapter(Argument)
_FLAG = re.compile(r"--[A-Za-z0-9][-A-Za-z0-9_.]*")


@dataclass
class Given:
    """One flag with its values, and the fields that say it."""

    name: str
    words: list[tuple[Field, str]] = field(default_factory=list)  # as an engine gets them
    values: list[str] = field(default_factory=list)

    @property
    def fields(self) -> list[Field]:
        found: list[Field] = []
        for each, _ in self.words:
            if each.path not in [known.path for known in found]:
                found.append(each)
        return found

    @property
    def value(self) -> str:
        return self.values[0] if len(self.values) == 1 else ""


def carry_args(draft: Draft, words: Iterable[tuple[Field, str]], engine: str, gpus: Gpus) -> None:
    """Carry the arguments of `engine`: each word with the field that it comes from."""
    for given in _flags(draft, words, engine):
        if not _carry_to_field(draft, given, gpus):
            _carry_as_is(draft, given, engine)


def of_list(args: Field) -> list[tuple[Field, str]]:
    """The words of a list of arguments; what is no text is told as lost."""
    found = []
    for each in args.items():
        if not isinstance(each.value, str):
            each.lost("an argument is a text", "write it in quotes")
            continue
        head, blank, tail = each.value.partition(" ")
        # Written as for a shell, which an engine would not understand either.
        split = blank and _FLAG.fullmatch(head) and tail.strip()
        found += [(each, head), (each, tail.strip())] if split else [(each, each.value)]
    return found


def _flags(draft: Draft, words: Iterable[tuple[Field, str]], engine: str) -> list[Given]:
    """The flags in their order. A first word without one is the model, as `vllm serve MODEL` has it."""
    found: list[Given] = []
    for each, word in words:
        spelled, equals, value = word.partition("=")
        spelled = SHORT.get(spelled, spelled)
        if _FLAG.fullmatch(spelled):
            name = spelled.partition(".")[0].lower().replace("_", "-")
            text = f"{spelled}={value}" if equals else spelled
            found.append(Given(name, [(each, text)], [value] if equals else []))
        elif found:
            found[-1].words.append((each, word))
            found[-1].values.append(word)
        elif word in RUNNABLE:
            each.built_in("the engine's own command is used")
        elif engine in ("vllm", "tensorrt-llm"):
            found.append(Given("--model", [(each, word)], [word]))
        else:
            each.lost("it is no flag", "write --name=value in spec.runtime.args")
    return found


def _carry_to_field(draft: Draft, given: Given, gpus: Gpus) -> bool:
    """Carry a flag for which ours has a field. Whether it was one."""
    name, value, model = given.name, given.value, ("spec", "model")
    if name in NAMES:
        _name(given)
    elif name in MODELS:
        _model(draft, given)
    elif name in FOLDERS:
        _built_in(given, "the operator mounts the model and tells the engine where")
    elif name in CONTEXT and whole(value):
        _all(given, *model, "maxModelLen", value=whole(value))
    elif name in REVISION and value:
        _all(given, *model, "revision", value=value)
    elif name == "--quantization" and value in QUANTIZED:
        _all(given, *model, "quantization", value=QUANTIZED[value])
    elif name in TENSOR and whole(value):
        _degree(given, "tensor", gpus)
    elif name in PIPELINE and whole(value):
        _degree(given, "pipeline", gpus)
    elif name in LORA:
        _built_in(given, "it follows from spec.model.adapters")
    elif name == "--lora-modules":
        _adapters(draft, given)
    else:
        return False
    return True


def _degree(given: Given, axis: str, gpus: Gpus) -> None:
    for each in given.fields:
        gpus.named(axis, each, whole(given.value))


def _name(given: Given) -> None:
    value = given.values[0] if given.values else ""
    if "{{" in value or "$(" in value:
        _built_in(given, "the model is named like the InferenceService")
    elif value:
        note = (
            "" if len(given.values) == 1 else f"the first name alone; of {', '.join(given.values[1:])} none is served"
        )
        _all(given, "spec", "model", "name", value=value, note=note)
    else:
        _lost(given, "it has no value")


def _model(draft: Draft, given: Given) -> None:
    """A model that is named to the engine: a folder where it is mounted, or a repository of the hub."""
    value, uri = given.value, ("spec", "model", "uri")
    if value.startswith("/") or "{{" in value or "$(" in value:
        _built_in(given, "the operator mounts the model and tells the engine where")
    elif draft.got(uri) is not None:
        _lost(given, "the model's place is told already, and counts", "write the right one in spec.model.uri")
    else:
        place = place_of(value if "://" in value else f"hf://{value}")
        if place.wrong:
            _lost(given, place.wrong, "write spec.model.uri")
        else:
            _all(given, *uri, value=place.uri)


def _adapters(draft: Draft, given: Given) -> None:
    first, *rest = given.words
    words = rest if first[1] == given.name or "=" not in first[1] else [(first[0], given.values[0]), *rest]
    if words is rest and not first[0].said():
        first[0].built_in("it follows from spec.model.adapters")
    for each, word in words:
        name, _, where = word.partition("=")
        place = place_of(where if "://" in where else f"hf://{where}")
        if not name or place.wrong or where.startswith("/"):
            each.lost("an adapter is named by its source", "write spec.model.adapters: [{name: …, uri: …}]")
            continue
        target = draft.end("spec", "model", "adapters")
        draft.put((*target, "name"), name)
        each.became(*target, "uri", value=place.uri)


def _carry_as_is(draft: Draft, given: Given, engine: str) -> None:
    """Carry a flag that a user may pass to `engine`; say of another what the operator or an admin does in its place."""
    if given.name in HUGGING_FACE and engine == "vllm":
        _lost(given, HUGGING_FACE[given.name])
        return
    if given.name in NEEDLESS and engine == "vllm" and given.value != "huggingface":
        _built_in(given, NEEDLESS[given.name])
        return
    rules = ENGINES[engine].rules
    reserved = first_match(given.name, rules.reserved, rules.in_full)
    denied = first_match(given.name, rules.denied, rules.in_full)
    if reserved is not None:
        remedy = rules.reserved[reserved]
        if remedy:
            _lost(given, "the operator sets it", f"use {remedy}")
        else:
            _built_in(given, "the operator sets it")
    elif denied is not None:
        allow = "an admin allows it in spec.userArgs of a ServingRuntime"
        _lost(given, "it loads code, reads files or weakens security", rules.instead.get(denied, allow))
    elif any(value.startswith("-") and not value[1:].isdigit() for value in given.values) or not _words_fit(given):
        _lost(given, "it is written so that an engine could read it otherwise", "write --name=value")
    else:
        for each, word in given.words:
            place = draft.end("spec", "runtime", "args")
            draft.put(place, word)
            each.counted(*place)


def _words_fit(given: Given) -> bool:
    try:
        for _, word in given.words:
            _ARGUMENT.validate_python(word, strict=True)
    except ValidationError:
        return False
    return True


def _all(given: Given, *target: str, value: object, note: str = "") -> None:
    for each in given.fields:
        each.became(*target, value=value, note=note)


def _built_in(given: Given, why: str) -> None:
    for each in given.fields:
        each.built_in(why)


def _lost(given: Given, why: str, instead: str = "") -> None:
    for each in given.fields:
        each.lost(f"{given.name}: {why}", instead)
