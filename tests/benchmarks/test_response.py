"""Nothing that is wrong passes for an answer."""

import pytest

from benchmarks import answers
from benchmarks.response import Response
from benchmarks.rewritten import Rewritten

HEAD = b"HTTP/1.1 200 OK\r\nx-router-classifier: keywords\r\n"
BODY = answers.stream(2)
FRAMED = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nd\r\n%x\r\n%b\r\n0\r\n\r\n" % (
    len(BODY) - 1,
    BODY[1:],
)


@pytest.mark.parametrize("raw", [FRAMED, CHUNKED], ids=["framed by length", "in chunks"])
def test_an_answer_is_whole_wherever_it_is_cut(raw: bytes) -> None:
    for cut in range(1, len(raw)):
        response = Response(BODY)
        body = response.feed(raw[:cut])
        assert not response.is_done
        assert body + response.feed(raw[cut:]) == BODY
        assert response.is_whole
        assert response.classifier == "keywords"


@pytest.mark.parametrize(
    "raw",
    [
        FRAMED.replace(b"200 OK", b"502 Bad"),
        FRAMED.replace(b"token001", b"token002"),
        CHUNKED.replace(b"token001", b"token002"),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 4\r\n\r\n" + BODY[:4],
    ],
    ids=["an error", "another text", "another text in chunks", "nothing", "the beginning only"],
)
def test_another_answer_is_not_whole(raw: bytes) -> None:
    response = Response(BODY)
    response.feed(raw)
    assert response.is_done
    assert not response.is_whole


def framed(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("body", [BODY, answers.PLAIN], ids=["stream", "plain"])
def test_a_rewritten_answer_is_whole_if_it_says_the_same(body: bytes) -> None:
    response = Rewritten(body)
    raw = framed(body.replace(b'"provider":"Benchmark",', b""))
    response.feed(raw[:200])
    assert not response.is_whole
    response.feed(raw[200:])
    assert response.is_whole


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (BODY, BODY.replace(b"token001", b"token002")),
        (BODY, BODY.replace(b"data: [DONE]\n\n", b"")),
        (BODY, BODY.replace(b'"choices"', b'"voices"')),
        (BODY, b"data: oh\n\ndata: [DONE]\n\n"),
        (answers.PLAIN, answers.PLAIN.replace(b"word7 ", b"")),
        (answers.PLAIN, b'{"error":{"message":"no"}}'),
        (answers.PLAIN, answers.PLAIN[:-1]),
    ],
    ids=["text", "no end", "no choices", "no JSON", "plain text", "an error", "half"],
)
def test_a_rewritten_answer_that_says_something_else_is_not_whole(body: bytes, said: bytes) -> None:
    response = Rewritten(body)
    response.feed(framed(said))
    assert response.is_done
    assert not response.is_whole


def test_a_rewritten_error_is_not_whole() -> None:
    response = Rewritten(BODY)
    response.feed(framed(BODY).replace(b"200 OK", b"500 No"))
    assert response.is_done
    assert not response.is_whole
