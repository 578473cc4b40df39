"""What is read of a request: its path in one way only, its model, and where its prompt begins."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.proxy import content, models, paths, routing
from inferops.gateway.proxy.content import Content
from inferops.gateway.proxy.errors import ApiError
from inferops.gateway.proxy.routing import By
from inferops.gateway.table import Backend, ServiceKey, Table
from inferops.runtimes import ENGINES
from unit.gateway.fronted import OPENAI

CHAT, JSON = "/v1/chat/completions", "application/json"
TRITON = ENGINES["triton"].api
TABLE = Table(
    [
        Backend(ServiceKey("chat", "llama"), OPENAI, ("llama", "org/tuned"), hostnames=("llm.example.com",)),
        Backend(ServiceKey("vision", "resnet"), TRITON, ("resnet",)),
        Backend(ServiceKey("app", "bento"), ENGINES["bentoml"].api, ()),
    ]
)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/v1/models", "/v1/models", ""),
        ("/v1/models?limit=2&after=%2e%2e", "/v1/models", "?limit=2&after=%2e%2e"),
        ("/", "/", ""),
        ("/v2/models/r%C3%A9seau/infer", "/v2/models/réseau/infer", ""),
        ("http://somewhere/v1/models?a=b", "/v1/models", "?a=b"),
        ("HTTP://somewhere", "/", ""),
        ("/a...b/c..", "/a...b/c..", ""),
    ],
)
def test_paths_that_are_read(target: str, path: str, query: str) -> None:
    found, rest = paths.split(target)
    assert (found.path, rest) == (path, query)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/../metrics",
        "/v1/%2e%2e/metrics",
        "/v1/.%2E/metrics",
        "/v1/./models",
        "/v1//models",
        "//v1/models",
        "/v1/models/",
        "/v1/%252e%252e/metrics",
        "/v1/models%25",
        "/v1\\..\\metrics",
        "/v1/%5c..%5cmetrics",
        "/v1/%00",
        "/v1/a%0d%0aHost:%20b",
        "/v1/%ff",
        "/v1/é",
        "/" + "a" * 3000,
        "*",
        "ftp://somewhere/v1",
        "",
    ],
)
def test_paths_that_are_refused(target: str) -> None:
    with pytest.raises(ApiError) as refused:
        paths.split(target)
    assert refused.value.status == 400
    assert refused.value.code == "invalid_path"


@given(st.text(alphabet=st.sampled_from("/.%2fFeE5cC0aZ~é;: "), max_size=24))
def test_what_is_sent_on_reads_as_what_was_checked(text: str) -> None:
    try:
        path, _ = paths.split("/" + text.replace("é", "%C3%A9"))
    except ApiError:
        return
    assert paths.read(path.encoded).path == path.path
    assert path.encoded.isascii()
    assert not {".", ".."} & set(path.path.split("/"))


@pytest.mark.parametrize(
    ("case", "method", "host", "target", "by", "service"),
    [
        ("by the model in the body", "POST", "gateway", CHAT, By.BODY, None),
        ("by a host of its own", "POST", "llm.example.com", CHAT, By.SERVICE, "llama"),
        ("by the host of its Service", "POST", "llama.chat.svc:8080", "/tokenize", By.SERVICE, "llama"),
        ("by path", "POST", "gateway", f"/services/chat/llama{CHAT}", By.SERVICE, "llama"),
        ("by the model in the path", "POST", "gateway", "/v2/models/resnet/infer", By.SERVICE, "resnet"),
        ("a version of it", "GET", "gateway", "/v2/models/resnet/versions/1/ready", By.SERVICE, "resnet"),
        ("all models", "GET", "gateway", "/v1/models", By.MODELS, None),
        ("the models of one service", "GET", "llama.chat", "/v1/models/org%2Ftuned", By.MODELS, "llama"),
        ("the gateway's own health", "GET", "gateway", "/v2/health/ready", By.HEALTH, None),
        ("the health of one service", "GET", "resnet.vision", "/v2/health/ready", By.SERVICE, "resnet"),
        ("an engine that answers for itself", "GET", "bento.app", "/v1/models", By.SERVICE, "bento"),
    ],
)
def test_ways(case: str, method: str, host: str, target: str, by: Any, service: str | None) -> None:
    found = routing.route(TABLE, method, host, paths.split(target)[0])
    assert found.by is by
    assert (found.backend.key.name if found.backend else None) == service


@pytest.mark.parametrize(
    ("case", "method", "host", "target", "status", "code"),
    [
        ("closed by the engine", "POST", "llama.chat", "/v1/load_lora_adapter", 404, "unknown_url"),
        ("not opened", "GET", "llama.chat", "/metrics", 404, "unknown_url"),
        ("closed, by path", "POST", "gateway", "/services/chat/llama/v1/load_lora_adapter", 404, "unknown_url"),
        ("out of the path", "GET", "gateway", "/services/chat/llama/..%2f..%2fmetrics", 400, "invalid_path"),
        ("no such service", "GET", "gateway", "/services/chat/other/v1/models", 404, "service_not_found"),
        ("no such model", "POST", "gateway", "/v2/models/other/infer", 404, "model_not_found"),
        ("an encoded slash", "POST", "gateway", "/v2/models/resnet%2Finfer", 400, "invalid_path"),
        ("nothing is there", "GET", "gateway", "/", 404, "unknown_url"),
        ("only POST has a body to go by", "GET", "gateway", "/v1/responses/1", 404, "unknown_url"),
        ("a method that is not served", "TRACE", "llama.chat", "/v1/models", 405, "method_not_allowed"),
    ],
)
def test_no_way(case: str, method: str, host: str, target: str, status: int, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        routing.route(TABLE, method, host, paths.split(target)[0])
    assert (refused.value.status, refused.value.code) == (status, code)


def test_the_service_of_a_model() -> None:
    assert routing.of_model(TABLE, "org/tuned", "POST", CHAT).key.name == "llama"
    for model, path, code in [
        ("", CHAT, "invalid_request_error"),
        ("gpt-4", CHAT, "model_not_found"),
        ("llama", "/v1/load_lora_adapter", "unknown_url"),
    ]:
        with pytest.raises(ApiError) as refused:
            routing.of_model(TABLE, model, "POST", path)
        assert refused.value.code == code


def test_models_are_listed_once_and_the_first_service_has_the_name() -> None:
    older = Backend(ServiceKey("a", "one"), OPENAI, ("m",), created="2025-01-01T00:00:00Z")
    newer = Backend(ServiceKey("b", "two"), OPENAI, ("m", "n"), created="2026-01-01T00:00:00Z")
    listed = json.loads(models.answer("/v1/models", [older, newer]))
    assert [(each["id"], each["created"]) for each in listed["data"]] == [("m", 1735689600), ("n", 1767225600)]
    assert json.loads(models.answer("/v1/models/n", [older, newer])) == listed["data"][1]
    with pytest.raises(ApiError, match="'other' does not exist"):
        models.answer("/v1/models/other", [older, newer])


@pytest.mark.parametrize(
    ("case", "body", "message"),
    [
        ("no JSON", b"{model: llama}", "line 1, column 2"),
        ("an early end", b'{"model": "llama"', "line 1, column 18"),
        ("no object", b'["model"]', "must be a JSON object"),
        ("no UTF-8", b'{"model": "\xff"}', "not UTF-8"),
        ("nested without end", b"[" * 100_000, "nested too deeply"),
        ("an endless number", b'{"seed": ' + b"9" * 5000 + b"}", "too long"),
        ("a model that is no name", b'{"model": 7}', "expected a string"),
    ],
)
def test_bodies_that_are_refused(case: str, body: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        content.read(body, JSON, CHAT)
    assert refused.value.status == 400


def chat(*messages, **fields):
    given = [{"role": role, "content": text} for role, text in messages]
    return content.read(json.dumps({"model": "m", "messages": given, **fields}).encode(), JSON, CHAT)


def test_requests_that_begin_alike_share_their_prefix() -> None:
    rules = ("system", "Be kind. " * 200)
    first = chat(rules, ("user", "What is Kubernetes?"))
    assert chat(rules, ("user", "And Docker?")).prefix == first.prefix
    assert chat(rules, ("user", "And Docker?"), model="adapter").prefix != first.prefix
    assert chat(("system", "Be brief."), ("user", "What is Kubernetes?")).prefix != first.prefix


def test_the_turns_after_the_first_do_not_move_a_conversation() -> None:
    first = chat(("system", "Be brief."), ("user", "Hello"))
    assert chat(("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "Bye")).prefix == first.prefix


@pytest.mark.parametrize(
    ("case", "path", "one", "other"),
    [
        ("text", "/v1/completions", {"prompt": "a"}, {"prompt": "b"}),
        ("several texts", "/v1/completions", {"prompt": ["a", "x"]}, {"prompt": ["b", "x"]}),
        ("tokens", "/v1/completions", {"prompt": [1, 2]}, {"prompt": [1, 3]}),
        (
            "parts",
            CHAT,
            *[{"messages": [{"role": "user", "content": [{"type": "text", "text": each}]}]} for each in "ab"],
        ),
        ("a response", "/v1/responses", {"input": "a"}, {"input": "b"}),
        ("messages of a response", "/v1/responses", *[{"input": [{"role": "user", "content": each}]} for each in "ab"]),
        ("instructions", "/v1/responses", {"instructions": "a", "input": "x"}, {"instructions": "b", "input": "x"}),
        ("the engine's own API", "/generate", {"text": "a"}, {"text": "b"}),
    ],
)
def test_prompts_in_every_form(case: str, path: str, one: Any, other: Any) -> None:
    prefixes = [content.read(json.dumps(each).encode(), JSON, path).prefix for each in (one, other, one)]
    assert None not in prefixes
    assert prefixes[0] == prefixes[2] != prefixes[1]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": "x"},
        {"messages": [7]},
        {"messages": [{"role": "user", "content": None}]},
        {"prompt": {}},
        {"prompt": []},
        {},
    ],
)
def test_what_is_no_prompt_has_no_prefix(body: Any) -> None:
    assert content.read(json.dumps(body).encode(), JSON, CHAT).prefix is None


def test_nothing_is_generated_from_what_is_embedded() -> None:
    assert content.read(b'{"model": "m", "input": "a"}', JSON, "/v1/embeddings") == Content("m")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
OPTIONS = st.sampled_from([None, {}, {"include_usage": False}, {"continuous_usage_stats": True}, "stream_options", 7])


@given(st.dictionaries(st.text(), JSONS, max_size=4), st.booleans(), OPTIONS, st.booleans())
def test_asking_for_usage_changes_nothing_else(fields: Any, given_: bool, options: Any, escaped: bool) -> None:
    data = {"prompt": 'say "stream_options": {', **fields, "stream": True}
    data.pop("model", None)
    data.pop("stream_options", None)
    if given_:
        data = {"stream_options": options, **data}
    body = json.dumps(data, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    try:
        said = content.read(body, JSON, CHAT)
    except ApiError:  # lone surrogates, where they were not escaped
        assert not escaped
        return
    kept = options if given_ and isinstance(options, dict) else {}
    assert json.loads(content.with_usage(body, said)) == {**data, "stream_options": {**kept, "include_usage": True}}


def test_a_long_prompt_is_passed_byte_for_byte() -> None:
    body = b'{ "prompt" : "\\u00e9 \xc3\xa9",\n"temperature": 1.50, "stream": true }\n'
    sent = content.with_usage(body, content.read(body, JSON, "/v1/completions"))
    assert sent == body[:-2] + b',"stream_options":{"include_usage":true}}\n'


def test_whose_wish_the_usage_is() -> None:
    for options, asked in [
        ({"include_usage": True}, True),
        ({"include_usage": False}, False),
        (None, False),
        ("x", False),
    ]:
        assert content.asks_for_usage(Content("m", True, options=options)) is asked


FORM = (
    b'--x y\r\nContent-Disposition: form-data; name="file"; filename="model"\r\n\r\nRIFF\r\n--x\r\n'
    b'\r\n--x y\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name="model"\r\n'
    b"\r\nwhisper\r\n--x y--\r\n"
)


def test_the_model_in_a_form() -> None:
    assert content.read(FORM, 'multipart/form-data; boundary="x y"', "/v1/audio/transcriptions").model == "whisper"
    assert content.form_field(FORM, 'multipart/form-data; boundary="x y"', "language") == ""
    assert content.form_field(FORM[:150], 'multipart/form-data; boundary="x y"', "model") == ""
    with pytest.raises(ApiError, match="boundary"):
        content.form_field(FORM, "multipart/form-data", "model")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_form(data: Any) -> None:
    content.form_field(b"--b" + data, "multipart/form-data; boundary=b", "model")
