"""What a body says of its request: the model, whether the answer is streamed, and which prompts it shares a start with.

A large prompt is read once and never written again: where something is added, bytes are put in between.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from inferops.gateway.proxy.errors import ApiError, bad_request

PREFIX = 1024  # characters of a prompt by which requests are brought together
GENERATING = ("/completions", "/responses", "/messages", "/generate", "/generate_stream")  # ends of paths
COUNTED = ("/v1/chat/completions", "/v1/completions")  # paths whose streams know `stream_options`
OPTIONS = "stream_options"
FORM = "multipart/form-data"
_DECODER = json.JSONDecoder()


class Content(NamedTuple):
    """What was read in a body."""

    model: str = ""  # empty: it names none
    stream: bool = False
    cache_key: str = ""  # which the client gives to prompts that share a start
    prefix: bytes | None = None  # a digest of the prompt's start; None: nothing is generated from a prompt
    options: Any = None  # its `stream_options`


NOTHING = Content()


def read(body: bytes, content_type: str, path: str) -> Content:
    """Read the body of a request to `path` of OpenAI's API. Raises `ApiError`."""
    if not body:
        return NOTHING
    if FORM in content_type.lower():
        return Content(model=form_field(body, content_type, "model"))
    data = parse(body)
    model, stream = data.get("model"), data.get("stream")
    if not isinstance(model, str | None):
        raise bad_request("model: expected a string", "model")
    prefix = None
    if path.endswith(GENERATING):
        text = "".join(_pieces(data))[:PREFIX]
        if text:
            prefix = blake2b(f"{model}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
    cache_key = data.get("prompt_cache_key")
    return Content(
        model or "", stream is True, cache_key if isinstance(cache_key, str) else "", prefix, data.get(OPTIONS)
    )


def of_bytes(body: bytes) -> Content:
    """Of a body in another API that generates from a prompt: bodies that begin alike are taken to share that start."""
    return Content(prefix=blake2b(body[:PREFIX], digest_size=16).digest() if body else None)


def parse(body: bytes) -> dict[str, Any]:
    """A body that must be a JSON object. Raises `ApiError`."""
    try:
        data = _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise _no_json("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _no_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):
        raise _no_json("a number in it is too long, or it is nested too deeply") from None
    if not isinstance(data, dict):
        raise bad_request("the body must be a JSON object", code="invalid_json")
    return data


def asks_for_usage(content: Content) -> bool:
    """Whether the client itself wants a stream to end with token counts."""
    return isinstance(content.options, dict) and content.options.get("include_usage") is True


def with_usage(body: bytes, content: Content) -> bytes:
    """The body of a streaming request, asking for token counts too."""
    if content.options is None and OPTIONS.encode() not in body:
        end = body.rindex(b"}")
        return b'%b,"%b":{"include_usage":true}%b' % (body[:end], OPTIONS.encode(), body[end:])
    given = content.options if isinstance(content.options, dict) else {}
    text = body.decode()
    options = json.dumps({**given, "include_usage": True})
    for start, end in reversed(list(_values(text, OPTIONS))):
        text = text[:start] + options + text[end:]
    if content.options is None and not any(_values(text, OPTIONS)):  # the word stands in the prompt only
        end = text.rindex("}")
        text = f'{text[:end]},"{OPTIONS}":{options}{text[end:]}'
    return text.encode("utf-8", "surrogatepass")


def form_field(body: bytes, content_type: str, name: str) -> str:
    """The text of one field of a form in parts; empty where it has none."""
    boundary = content_type.partition("boundary=")[2].partition(";")[0].strip().strip('"')
    if not boundary:
        raise bad_request("Content-Type: multipart/form-data needs a boundary", code="invalid_form")
    line = b"--" + boundary.encode("utf-8", "surrogateescape")
    wanted, at = f'name="{name}"'.encode(), body.find(line)
    while at >= 0:
        start = at + len(line)
        heads = body.find(b"\r\n\r\n", start, start + 4096)
        at = body.find(b"\r\n" + line, start)
        if 0 <= heads < at and wanted in map(bytes.strip, body[start:heads].replace(b"\r\n", b";").split(b";")):
            return body[heads + 4 : at].decode("utf-8", "replace")
        if at >= 0:
            at += 2
    return ""


def _values(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    """Where the values of a key of a valid JSON object begin and end."""
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        if key == wanted:
            yield start, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _pieces(data: Mapping[str, Any]) -> Iterator[str]:
    """The texts that a prompt begins with, as far as `PREFIX` needs them."""
    for name in ("system", "instructions"):
        yield from _texts(data.get(name))
    messages = data.get("messages")
    if isinstance(messages, list):
        yield from _conversation(messages)
        return
    for name in ("prompt", "input", "text", "text_input", "input_ids"):
        if (given := data.get(name)) is not None:
            yield from _texts(given)
            return


def _conversation(messages: list[Any]) -> Iterator[str]:
    """What comes first, up to the first words of the user."""
    length = 0
    for message in messages:
        if not isinstance(message, dict):
            return
        for text in _texts(message.get("content")):
            length += len(text)
            yield text
        if message.get("role") == "user" or length >= PREFIX:
            return


def _texts(given: Any) -> Iterator[str]:
    """Of a text, a list of parts or messages, or a list of tokens: its first one where there are several prompts."""
    if isinstance(given, str):
        yield given
    elif isinstance(given, list) and given:
        if isinstance(given[0], int):
            yield repr(given[: PREFIX // 4])
        elif isinstance(given[0], str | list):
            yield from _texts(given[0])
        elif isinstance(given[0], dict) and "role" in given[0]:
            yield from _conversation(given)
        else:
            for part in given:
                if isinstance(part, dict) and isinstance(text := part.get("text"), str):
                    yield text


def _no_json(why: str) -> ApiError:
    return bad_request(f"the body is not JSON: {why}", code="invalid_json")
