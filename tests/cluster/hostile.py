"""Hostile resources: good ones with fields swapped among them, and with values that nobody means, by hypothesis."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import yaml
from hypothesis import strategies as st

from cluster.bad_resources import BAD
from cluster.good_resources import GOOD
from inferops.api.crd import root_schema
from inferops.api.resources import KINDS
from unit.render.building import SAMPLES

Json = dict[str, Any]
Path = tuple[str | int, ...]
KIND_NAMES = tuple(kind.name for kind in KINDS)
SHELL = "$(touch /tmp/pwned)`id`;|&'\"\\ ${IFS}"  # what a shell would do something with

TEXTS = (
    *("", " ", "a" * 64, "a" * 5000, SHELL, "$(HOME)", "{{ .Values.x }}", "%(x)s%n", "null", "NaN", "true", "~", "-"),
    *(
        "../../etc/passwd",
        "pvc://a/../../b",
        "hf://a/..",
        "s3://models/%2e%2e/x",
        "oci://a/b:c@d",
        "file:///etc/passwd",
    ),
    *("http://169.254.169.254/latest", "http://[::1]:8080", "http://0x7f.1/", "https://user:pw@a.svc/", "//a", "a:b@c"),
    *(
        "\x00",
        "a\nb",
        "a\r\nHost: b",
        "\x1b[2J",
        "\u202eabc",
        "\ufeffa",
        "e\u0301",
        "\u0663",
        "\uff11\uff10s",
        "\u212a",
    ),
    *("\U0001f4a5", "1e9999s", "99999999999d", "-5s", "0s", "0x10", "1_000", "+5", "9" * 400, "0.1Gi", "1E", "*", "**"),
    *("*.svc", "A-B", "a.b", "1", "9999d9999d9999d9999d", "400m", "*/1 * * * *", "0 0 30 2 *", "Europe/Nowhere", "UTC"),
)
NUMBERS = (0, -1, 1, 2, 1.0, 0.5, -0.0, 1e-300, 1e300, 0.1 + 0.2, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 64, 100, 101)
BOMB: Any = [[[[[[[[[["x"] * 3] * 3] * 3] * 3] * 3] * 3]]]]
VALUES = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(NUMBERS),
    st.sampled_from(
        (None, True, False, [], {}, [{}], [None], [""], {"": ""}, {"a": {"b": []}}, [1, "a"], ["a", "a"], BOMB)
    ),
    st.text(max_size=40),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.sampled_from(TEXTS), max_size=4),
).map(copy.deepcopy)


def parts(found: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every part of a resource with its place, the outer ones first."""
    yield at, found
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in items:
        yield from parts(value, (*at, key))


@cache
def corpus(kind: str) -> tuple[Json, ...]:
    """Good resources of a kind."""
    samples = [yaml.safe_load(path.read_text()) for path in sorted(SAMPLES.glob("*.yaml"))]
    return tuple(each for each in [*GOOD, *samples] if each["kind"] == kind)


@cache
def seen_at(kind: str) -> Mapping[Path, tuple[Any, ...]]:
    """What the corpus has at a place, where the items of a list are all at one."""
    found: dict[Path, list[Any]] = {}
    bad = [each.resource for each in BAD if each.kind == kind]
    for each in (*corpus(kind), *bad[::4]):
        for at, value in parts(each["spec"]):
            found.setdefault(_place(at), []).append(value)
    for at, value in _allowed(root_schema(next(each for each in KINDS if each.name == kind))["properties"]["spec"]):
        found.setdefault(at, []).append(value)
    return {at: tuple(values) for at, values in found.items()}


def _allowed(schema: Json, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Values that the schema names: those of enumerations, defaults and bounds."""
    yield from ((at, value) for value in schema.get("enum", ()))
    yield from ((at, schema[word]) for word in ("default", "minimum", "maximum") if word in schema)
    if schema.get("type") == "boolean":
        yield from ((at, True), (at, False))
    for name, part in schema.get("properties", {}).items():
        yield from _allowed(part, (*at, name))
    if "items" in schema:
        yield from _allowed(schema["items"], (*at, 0))


def _place(at: Path) -> Path:
    return tuple(0 if isinstance(step, int) else step for step in at)


@st.composite
def resources(draw: st.DrawFn, kind: str) -> Json:
    """A resource of `kind`: one of the corpus, with parts of others, then with what nobody means."""
    made = copy.deepcopy(draw(st.sampled_from(corpus(kind))))
    spec = made["spec"]
    known, ways = seen_at(kind), sorted(seen_at(kind), key=str)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.sampled_from(ways))
        _put(spec, at, copy.deepcopy(draw(st.sampled_from(known[at]))))
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2)))):
        at = draw(st.sampled_from([at for at, _ in parts(spec)]))
        how = draw(st.sampled_from(("set", "set", "set", "drop", "more", "name")))
        if how == "set":
            _put(spec, at, draw(VALUES))
        elif how == "drop":
            _drop(spec, at)
        else:
            _put(
                spec,
                (*at, draw(st.sampled_from(TEXTS if how == "name" else ("podTemplate", "volumes", "hostPath")))),
                draw(VALUES),
            )
    made["metadata"] = {"name": draw(st.sampled_from(("hostile", "h", "a" * 50, "hostile-1"))), **draw(METADATA)}
    return made


# The API server holds keys and labels to their forms; what an annotation says is anybody's.
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "annotations": st.dictionaries(
            st.sampled_from(("inferops.dev/action", "inferops.dev/parent", "inferops.dev/parent-name", "a.b/c")),
            st.one_of(st.sampled_from((*TEXTS, "promote@abc", "retry@", "pause@x/" + "y" * 400)), st.text(max_size=40)),
            max_size=3,
        ),
        "labels": st.dictionaries(
            st.sampled_from(("inferops.dev/hub", "inferops.dev/service", "inferops.dev/revision", "app")),
            st.sampled_from(("", "a", "other", "0" * 63)),
            max_size=3,
        ),
    },
)


def _put(whole: Any, at: Path, value: Any) -> None:
    """Set a part, making what is missing on the way; where the way is barred by something else, nothing is done."""
    for step, following in pairwise(at):
        if isinstance(whole, dict):
            whole = whole.setdefault(str(step), [] if isinstance(following, int) else {})
        elif isinstance(whole, list) and isinstance(step, int):
            if step >= len(whole):
                whole.append([] if isinstance(following, int) else {})
            whole = whole[min(step, len(whole) - 1)]
        else:
            return
    if at and isinstance(whole, dict):
        whole[str(at[-1])] = value
    elif at and isinstance(whole, list):
        whole.append(value)


def _drop(whole: Any, at: Path) -> None:
    for step in at[:-1]:
        whole = whole[step]
    if at:
        del whole[at[-1]]


# What nobody can say in a tree of values: as text, for kubectl and for the API server itself.
HEAD = '{"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService", "metadata": {"name": "raw"}, '
MODEL = '"model": {"uri": "hf://a/b"}'
TEXTS_RAW: dict[str, str] = {
    "a field twice": HEAD + '"spec": {"model": {"uri": "hf://a/b", "uri": "hf://c/../d"}}}',
    "a spec twice": HEAD + f'"spec": {{{MODEL}}}, "spec": {{"model": {{"uri": 5}}}}}}',
    "a number without end": HEAD + f'"spec": {{{MODEL}, "load": {{"concurrency": 1e400}}}}}}',
    "a very long number": HEAD + f'"spec": {{{MODEL}, "load": {{"concurrency": {"9" * 5000}}}}}}}',
    "half a character": HEAD + '"spec": {"model": {"uri": "hf://a/b", "name": "\\ud800"}}}',
    "nested without end": HEAD + f'"spec": {{"model": {"[" * 20_000}{"]" * 20_000}}}}}',
    "four megabytes": HEAD + f'"spec": {{{MODEL}, "runtime": {{"args": ["{"a" * 4_000_000}"]}}}}}}',
    "no JSON": HEAD + "spec: ",
}
YAML_BOMB = (
    "apiVersion: serving.inferops.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: bomb}\nspec:\n  model:\n"
    "    uri: hf://a/b\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"  {chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9))
)
