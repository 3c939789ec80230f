"""What an answer that came whole turned out to be."""

from typing import Any

from llm_router.ledger.entry import Usage
from llm_router.proxy.chunk import choices_of, decode_object, error_in, has_substance, printable
from llm_router.proxy.exchange import NO_FACTS, Facts
from llm_router.routing.failures import Failure, FailureClass
from llm_router.upstream.failures import from_error_object
from llm_router.upstream.usage import parse_usage


def read_answer(body: bytes) -> tuple[Facts, Failure | None]:
    """Judge the body of a 200: OpenRouter answers 200 with an error inside once work has begun."""
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
    if (
        not any(map(has_substance, choices))
        and not usage.completion_tokens
        and "content_filter" not in reasons
    ):
        return Failure(FailureClass.EMPTY, "The model answered with nothing.", 200)
    return None
