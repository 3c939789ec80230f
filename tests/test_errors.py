"""The tree of errors, and the one shape of those that are answers."""

import inspect
import re

import pytest

from llm_router import errors
from llm_router.errors import (
    DocumentError,
    HttpError,
    InvalidRequest,
    NoCandidate,
    RouterError,
    UpstreamError,
    UpstreamRefused,
)
from llm_router.routing.failures import FailureClass

ALL = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, RouterError)]
HTTP = [e for e in ALL if issubclass(e, HttpError) and e not in (HttpError, UpstreamRefused)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Each class stands below its parent, and no other."""
    drawn = [
        (len(match[1]), match[2])
        for line in (errors.__doc__ or "").splitlines()
        if (match := re.match(r"([ │]*(?:[├└]── )?)(RouterError|(?<=── )\w+) ", line))
    ]
    parents: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for depth, name in drawn:
        while stack and stack[-1][0] >= depth:
            stack.pop()
        parents[name] = stack[-1][1] if stack else "Exception"
        stack.append((depth, name))
    assert parents == {e.__name__: e.__bases__[0].__name__ for e in ALL}


@pytest.mark.parametrize("kind", HTTP, ids=lambda kind: kind.__name__)
def test_the_docstring_names_status_and_type(kind: type[HttpError]) -> None:
    line = next(
        line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__} " in line + " "
    )
    assert f" {kind.status} {kind.type}" in line.replace(",", "")


@pytest.mark.parametrize("kind", HTTP, ids=lambda kind: kind.__name__)
def test_every_answer_has_the_one_shape(kind: type[HttpError]) -> None:
    error = kind("words")
    assert error.body() == {"error": {"message": "words", "code": kind.status, "type": kind.type}}
    assert 400 <= error.status < 600
    assert (error.retry_after_s, error.is_final, error.headers) == (None, False, {})


def test_what_is_said_beside_it_is_shown_and_nothing_empty() -> None:
    full = InvalidRequest("words", param="model", metadata={"near": ["a"]})
    assert full.body()["error"]["param"] == "model"
    assert full.body()["error"]["metadata"] == {"near": ["a"]}
    assert InvalidRequest("words", metadata={}).body()["error"].keys() == {
        "message",
        "code",
        "type",
    }


def test_a_refusal_of_upstreams_keeps_its_status() -> None:
    error = UpstreamRefused("too long", status=413, metadata={"provider_name": "Azure"})
    assert (error.status, error.body()["error"]["code"]) == (413, 413)


def test_a_chain_that_merely_cools_down_is_a_429() -> None:
    assert NoCandidate("words").status == 503
    limited = NoCandidate("words", is_rate_limited=True, retry_after_s=3)
    assert (limited.status, limited.retry_after_s) == (429, 3)


def test_other_errors_are_sentences_for_people() -> None:
    assert RouterError("words").message == "words"
    assert str(DocumentError("categories.code", "is no table")) == "categories.code: is no table"
    assert str(DocumentError("", "is no table")) == "is no table"
    assert UpstreamError(FailureClass.TRANSPORT, "words").kind is FailureClass.TRANSPORT
