"""Words that upstream did not say are found out, and words that are missing."""

import json

import pytest

from reliability.transcript import misquotes
from reliability.wire import Answer
from tests.reliability.test_books import a_call

STREAM = {"content-type": "text/event-stream"}
DONE = b"data: [DONE]\n\n"


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


ERROR = b'data: {"error":{"message":"broke"}}\n\n'
WORDS = event("word0 ") + event("word1 ")


@pytest.mark.parametrize(
    ("body", "is_whole", "is_true"),
    [
        (WORDS + DONE, True, True),
        (b": keep-alive\n\n" + WORDS + DONE, True, True),
        (event("word0 "), False, True),
        (event("word0 ") + b"data: {torn", False, True),
        (event("word0 ") + ERROR, False, True),
        (b"", False, True),
        (event("word0 ") + DONE, True, False),
        (DONE, True, False),
        (event("word1 "), False, False),
        (WORDS + event("word2 ") + DONE, True, False),
        (event("somebody else's") + DONE, True, False),
    ],
    ids=[
        "all",
        "comments",
        "a beginning",
        "torn",
        "told",
        "nothing",
        "one missing",
        "all missing",
        "from the middle",
        "one too many",
        "another's",
    ],
)
def test_a_stream_is_upstreams_from_its_beginning(
    body: bytes, is_whole: bool, is_true: bool
) -> None:
    found = list(misquotes(Answer(200, STREAM, body, is_whole=is_whole), [a_call()]))
    assert (found == []) is is_true


def test_a_plain_answer_is_upstreams() -> None:
    body = b'{"choices":[{"message":{"content":"word0 word1 "}}]}'
    assert not list(misquotes(Answer(200, {}, body, is_whole=True), [a_call()]))
    other = body.replace(b"word1", b"word2")
    assert list(misquotes(Answer(200, {}, other, is_whole=True), [a_call()]))
    assert list(misquotes(Answer(200, {}, body, is_whole=True), []))
