"""Requests of the OpenAI API as vLLM takes them: read, checked, and brought to tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inferops.simulate.server.failures import ApiError
from inferops.simulate.server.text import Answer, pieces

TEMPLATE_TOKENS = 4  # that a chat template adds to each message
COMPLETION_DEFAULT = 16  # max_tokens of /v1/completions when left out

Tokens = Annotated[int, Field(ge=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow")  # sampling parameters do not matter here


class StreamOptions(_Body):
    """What a stream shows beside the answer."""

    include_usage: bool = False


class Part(_Body):
    """A part of a message; only texts count."""

    text: str = ""


class Message(_Body):
    """One message of a chat."""

    role: str
    content: str | list[Part] | None = None

    def tokens(self) -> list[str]:
        """Its estimated tokens."""
        texts = [self.content or ""] if not isinstance(self.content, list) else [part.text for part in self.content]
        return [token for text in texts for token in pieces(text)]


class _Request(_Body):
    model: str | None = None
    max_tokens: Tokens | None = None
    min_tokens: int = Field(default=0, ge=0)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] = 1
    ignore_eos: bool = False


class ChatRequest(_Request):
    """Body of POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: Tokens | None = None


class CompletionRequest(_Request):
    """Body of POST /v1/completions: one prompt, as text or as token ids."""

    prompt: str | list[int] | Annotated[list[str], Field(min_length=1, max_length=1)]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as the engine sees it."""

    chat: bool
    model: str | None
    tokens: tuple[str | int, ...]
    asked: int | None  # max_tokens as sent
    minimum: int
    stream: bool
    usage_in_stream: bool
    ignore_eos: bool
    answer: Answer  # what the simulated model says to it

    def lengths(self, context: int) -> tuple[int, int]:
        """(tokens it may produce, tokens it will produce). Raises `ApiError` when they do not fit `context` tokens."""
        prompt = len(self.tokens)
        if prompt >= context:
            raise ApiError(
                400,
                "BadRequestError",
                f"This model's maximum context length is {context} tokens, but the prompt has {prompt}: "
                "shorten it, or serve the model with a larger --max-model-len.",
                "messages" if self.chat else "prompt",
            )
        left = context - prompt
        if self.asked is not None and self.asked > left:
            raise ApiError(
                400,
                "BadRequestError",
                f"This model's maximum context length is {context} tokens, but the prompt has {prompt} and "
                f"max_tokens asks for {self.asked} more: ask for at most {left}.",
                "max_tokens",
            )
        allowed = self.asked or (left if self.chat else min(left, COMPLETION_DEFAULT))
        own = allowed if self.ignore_eos else self.answer.own_length
        return allowed, min(allowed, max(own, self.minimum))


def read(body: bytes, chat: bool) -> Ask:
    """The request in `body`. Raises `ApiError` 400, which names the field that is wrong."""
    kind = ChatRequest if chat else CompletionRequest
    try:
        parsed = kind.model_validate(json.loads(body))
    except ValidationError as error:
        raise _bad(error) from None
    except ValueError as error:
        raise ApiError(400, "BadRequestError", f"The body is not JSON: {error}.") from None
    asked = parsed.max_tokens
    tokens: list[Any]
    if isinstance(parsed, ChatRequest):
        asked = parsed.max_completion_tokens or asked
        tokens = [token for message in parsed.messages for token in (*message.tokens(), *_template(message))]
    elif isinstance(parsed.prompt, str):
        tokens = pieces(parsed.prompt)
    else:
        tokens = [token for item in parsed.prompt for token in (pieces(item) if isinstance(item, str) else [item])]
    tokens = tokens or [""]
    return Ask(
        chat=chat,
        model=parsed.model,
        tokens=tuple(tokens),
        asked=asked,
        minimum=parsed.min_tokens,
        stream=parsed.stream,
        usage_in_stream=bool(parsed.stream_options and parsed.stream_options.include_usage),
        ignore_eos=parsed.ignore_eos,
        answer=Answer(tokens),
    )


def _template(message: Message) -> list[str]:
    return [f"<{message.role}>"] * TEMPLATE_TOKENS


def _bad(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or "body"
    remedy = " The simulated engine gives one answer a request." if field == "n" else ""
    return ApiError(400, "BadRequestError", f"{field}: {first['msg']}.{remedy}", field.split(".", 1)[0])
