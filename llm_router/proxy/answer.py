"""What an answer that came whole turned out to be."""

from typing import Annotated, Any, Literal

import msgspec

from llm_router.ledger.cost import Cost, Usage
from llm_router.ledger.pricing import MOST_TOKENS, nanousd
from llm_router.proxy.chunk import (
    NAME_CHARS,
    choices_of,
    decode_object,
    error_in,
    has_substance,
    printable,
    says_nothing,
)
from llm_router.proxy.facts import NO_FACTS, Facts
from llm_router.routing.failures import Failure, FailureClass
from llm_router.upstream.failures import from_error_object
from llm_router.upstream.usage import parse_usage

_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)] | None
_Name = Annotated[str, msgspec.Meta(max_length=NAME_CHARS)] | None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count = None
    reasoning_tokens: _Count = None


_NO_DETAILS = _Details()


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    cost: float | int | str | None = None


class _Message(msgspec.Struct, gc=False):
    content: Annotated[str, msgspec.Meta(min_length=1)]


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: Literal["stop", "length"]
    error: None = None


class _Ordinary(msgspec.Struct, gc=False):
    """An answer that is nothing but words and their price; whatever is odd does not decode."""

    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    usage: _Usage
    id: _Name = None
    model: _Name = None
    provider: _Name = None
    error: None = None


_decode_ordinary = msgspec.json.Decoder(_Ordinary).decode


def read_answer(body: bytes) -> tuple[Facts, Failure | None]:
    """Judge the body of a 200: OpenRouter answers 200 with an error inside once work has begun."""
    facts = read_ordinary(body)
    return read_leniently(body) if facts is None else (facts, None)


def read_ordinary(body: bytes) -> Facts | None:
    """Read what most answers are, in a third of the time; None for any that is not."""
    try:
        if not body.isascii():
            body.decode()
        answer = _decode_ordinary(body)
    except (ValueError, RecursionError):
        return None
    if not f"{answer.id}{answer.model}{answer.provider}".isprintable():
        return None
    usage = answer.usage
    tokens = Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        (usage.prompt_tokens_details or _NO_DETAILS).cached_tokens,
        (usage.completion_tokens_details or _NO_DETAILS).reasoning_tokens,
    )
    nano = nanousd(usage.cost)
    cost = None if nano is None else Cost(nano, "provider")
    return Facts(tokens, cost, answer.model, answer.provider, answer.id)


def read_leniently(body: bytes) -> tuple[Facts, Failure | None]:
    """Read any answer, whatever shape the provider behind it gave it."""
    answer = decode_object(body)
    if answer is None:
        message = "The provider answered with something that is not JSON."
        return NO_FACTS, Failure(FailureClass.PROTOCOL, message, 200)
    usage, cost = parse_usage(answer.get("usage"))
    facts = Facts(
        usage,
        cost,
        printable(answer.get("model")),
        printable(answer.get("provider")),
        printable(answer.get("id")),
    )
    return facts, _failure(answer, usage)


def _failure(answer: dict[str, Any], usage: Usage) -> Failure | None:
    choices = choices_of(answer)
    if error := error_in(answer, choices):
        return from_error_object(error, status=200)
    if not choices:
        message = "The provider's answer has no choices."
        return Failure(FailureClass.PROTOCOL, message, 200)
    reasons = [choice.get("finish_reason") for choice in choices]
    if "error" in reasons:
        message = "The provider finished with an error."
        return Failure(FailureClass.UPSTREAM_5XX, message, 200)
    if not any(map(has_substance, choices)) and says_nothing(reasons, usage):
        return Failure(FailureClass.EMPTY, "The model answered with nothing.", 200)
    return None
