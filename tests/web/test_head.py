"""Which heads are ordinary: aiohttp's parser would read them the same way."""

import asyncio
from contextlib import closing

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from hypothesis import given
from hypothesis import strategies as st

from llm_router.web.head import Head, form_of, may_be_chat, parse_head

LINE = b"POST /v1/chat/completions HTTP/1.1"


def head(*fields: bytes, line: bytes = LINE) -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


HOST, LENGTH = b"Host: a", b"Content-Length: 5"


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/chat/completions"])
def test_a_chat_request_with_a_length_is_ordinary(path: bytes) -> None:
    line = b"POST " + path + b" HTTP/1.1"
    assert parse_head(head(HOST, LENGTH, line=line)) == Head({"host": "a"}, 5, True)


def test_names_are_lower_case_and_values_without_space_around_them() -> None:
    found = parse_head(head(HOST, LENGTH, b"X-Session-ID:\t a b \t", b"X-Empty:", b"X-Blank: "))
    assert found is not None
    assert found.headers == {
        "host": "a",
        "x-session-id": "a b",
        "x-empty": "",
        "x-blank": "",
    }


def test_bytes_that_are_no_text_come_through() -> None:
    """F65: what they are good for is decided where they are used."""
    found = parse_head(head(HOST, LENGTH, b"X: \xc3\xa9\xff"))
    assert found is not None
    assert found.headers["x"].encode("utf-8", "surrogateescape") == b"\xc3\xa9\xff"


@pytest.mark.parametrize("length", [b"0", b"5"])
@pytest.mark.parametrize(
    ("connection", "keeps_alive"),
    [(b"close", False), (b"Close", False), (b"keep-alive", True), (b"Keep-Alive", True)],
)
def test_a_client_says_whether_it_goes_on(
    length: bytes, connection: bytes, keeps_alive: bool
) -> None:
    """Behind an empty body the parser forgets what the header said."""
    found = parse_head(head(HOST, b"Content-Length: " + length, b"Connection: " + connection))
    assert found is not None
    assert found.keeps_alive is keeps_alive


ODD = {
    "no host": head(LENGTH),
    "no length": head(HOST),
    "empty length": head(HOST, b"Content-Length:"),
    "negative length": head(HOST, b"Content-Length: -5"),
    "signed length": head(HOST, b"Content-Length: +5"),
    "hexadecimal length": head(HOST, b"Content-Length: 0x5"),
    "list of lengths": head(HOST, b"Content-Length: 5, 5"),
    "two lengths": head(HOST, LENGTH, LENGTH),
    "length beyond 64 bits": head(HOST, b"Content-Length: 99999999999999999999"),
    "two hosts": head(HOST, HOST, LENGTH),
    "any header twice": head(HOST, LENGTH, b"X: 1", b"x: 1"),
    "chunks": head(HOST, b"Transfer-Encoding: chunked"),
    "length and chunks": head(HOST, LENGTH, b"Transfer-Encoding: chunked"),
    "compressed": head(HOST, LENGTH, b"Content-Encoding: gzip"),
    "expectation": head(HOST, LENGTH, b"Expect: 100-continue"),
    "upgrade": head(HOST, LENGTH, b"Connection: upgrade", b"Upgrade: h2c"),
    "upgrade by itself": head(HOST, LENGTH, b"Upgrade: h2c"),
    "several wishes": head(HOST, LENGTH, b"Connection: close, te"),
    "wishes for a proxy": head(HOST, LENGTH, b"Proxy-Connection: close"),
    "HTTP/1.0": head(HOST, LENGTH, line=b"POST /v1/chat/completions HTTP/1.0"),
    "HTTP/2.0": head(HOST, LENGTH, line=b"POST /v1/chat/completions HTTP/2.0"),
    "no version": head(HOST, LENGTH, line=b"POST /v1/chat/completions HTTP/x.y"),
    "GET": head(HOST, LENGTH, line=b"GET /v1/chat/completions HTTP/1.1"),
    "query": head(HOST, LENGTH, line=b"POST /v1/chat/completions?a HTTP/1.1"),
    "other path": head(HOST, LENGTH, line=b"POST /v1/models HTTP/1.1"),
    "whole URL": head(HOST, LENGTH, line=b"POST http://a/v1/chat/completions HTTP/1.1"),
    "65 headers": head(HOST, LENGTH, *(b"X-%d: a" % n for n in range(63))),
    "folded header": head(HOST, LENGTH, b"X: a\r\n b"),
    "space before the colon": head(HOST, b"Content-Length : 5"),
    "no colon": head(HOST, LENGTH, b"X"),
    "no name": head(HOST, LENGTH, b": a"),
    "NUL": head(HOST, LENGTH, b"X: \0"),
    "bare carriage return": head(HOST, LENGTH, b"X: a\rb"),
    "bare line feed": head(HOST + b"\n" + LENGTH),
    "end by bare line feeds": head(HOST, LENGTH + b"\n\nabcde"),
    "line ended by a line feed": head(LINE + b"\n" + HOST, LENGTH),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "not whole": head(HOST, LENGTH)[:-2],
    "nothing": b"",
}


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
def test_whatever_is_odd_is_somebody_elses(raw: bytes) -> None:
    """F61, F62, T15"""
    assert parse_head(raw) is None


def test_64_headers_are_not_too_many() -> None:
    assert parse_head(head(HOST, LENGTH, *(b"X-%d: a" % n for n in range(62)))) is not None


# The same head again

AGAIN = head(HOST, LENGTH, b"Authorization: Bearer a")


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length"])
@pytest.mark.parametrize("length", [b"0", b"7", b"007", b"123456789012345"])
def test_a_head_may_come_again_with_another_length(name: bytes, length: bytes) -> None:
    fields = (HOST, name + b": 5", b"X: Content-Length: 5")
    form = form_of(head(*fields))
    assert form is not None
    again = head(HOST, name + b": " + length, fields[2])
    assert form.read(again) == (int(length), len(again))


@pytest.mark.parametrize(
    "length", [b"", b" 5", b"5 ", b"+5", b"-5", b"5,5", b"5, 5", b"0x5", b"5\r\nX: 5", b"9" * 16]
)
def test_a_length_that_is_written_oddly_is_left_to_the_parser(length: bytes) -> None:
    """F62, T15"""
    form = form_of(AGAIN)
    assert form is not None
    assert form.read(AGAIN.replace(b": 5", b": " + length)) is None


@pytest.mark.parametrize("field", [b"Content-Length:5", b"Content-Length:  5", LENGTH + b" "])
def test_a_head_that_says_its_length_in_another_way_is_always_parsed(field: bytes) -> None:
    assert parse_head(head(HOST, field)) is not None
    assert form_of(head(HOST, field)) is None


@pytest.mark.parametrize("at", range(len(AGAIN)))
def test_no_other_byte_of_a_head_may_differ(at: int) -> None:
    """T12, T15: above all not one of the key."""
    form = form_of(AGAIN)
    assert form is not None
    byte, is_length = AGAIN[at : at + 1], AGAIN[at - 3 : at + 1] == b"h: 5"
    for other in (b"", b"\0", bytes([byte[0] ^ 1]), bytes([byte[0] ^ 32]), byte * 2, byte + b"\r"):
        again = AGAIN[:at] + other + AGAIN[at + 1 :]
        if again.startswith(AGAIN):  # and goes on with the body
            assert form.read(again) == (5, len(AGAIN))
        else:
            is_same = is_length and other.isdigit()
            assert form.read(again) == ((int(other), len(again)) if is_same else None)


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
def test_whatever_is_odd_is_no_head_again(raw: bytes) -> None:
    """F61, F62, T15"""
    for form in map(form_of, (head(HOST, LENGTH), head(LENGTH, HOST))):
        assert form is not None
        assert form.read(raw) is None


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/chat/completions"])
def test_a_chat_request_may_be_one_from_its_first_byte(path: bytes) -> None:
    raw = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n"
    assert all(may_be_chat(raw[:n]) for n in range(len(raw) + 1))


@pytest.mark.parametrize(
    "raw",
    [b"G", b"post /", b"\r\nPOST ", b"POST /v1/models", b"POST /chat/completions?", b"\x16\x03"],
)
def test_what_cannot_become_one_is_seen_at_once(raw: bytes) -> None:
    """F61"""
    assert not may_be_chat(raw)


@pytest.mark.parametrize("end", [b"\n", b"\r\n\n", b"\nHost: a\r\n", b"\r\nHost: a\n\n{}"])
def test_nobody_waits_for_a_head_with_a_bare_line_feed(end: bytes) -> None:
    """F62"""
    assert not may_be_chat(LINE + end)


# Two parsers on one connection must never disagree

NAMES = st.sampled_from(
    [
        *(b"Host", b"Content-Length", b"Connection", b"Transfer-Encoding", b"Expect", b"X", b"x"),
        *(b"Proxy-Connection", b"Upgrade", b"Accept", b"X_y", b"Content-Length ", b"", b"\xff"),
    ]
)
VALUES = st.sampled_from(
    [
        *(b"5", b"5 ", b"\t5", b"+5", b"5,5", b"0", b"", b" ", b"chunked", b"close", b"keep-alive"),
        *(b"\xff", b"\xc3\xa9", b"\0", b"\x7f", b"\x0b", b"a\rb", b"a\nb", b"a\r\n b", b"h2c"),
    ]
) | st.binary(max_size=8)
COLONS = st.sampled_from([b": ", b":", b" : ", b":\t"])
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n"])
FIELDS = st.lists(st.builds(lambda *parts: b"".join(parts), NAMES, COLONS, VALUES, ENDS))


@given(FIELDS, ENDS, st.booleans())
def test_what_is_ordinary_is_read_by_aiohttp_in_the_same_way(
    fields: list[bytes], end: bytes, has_length: bool
) -> None:
    """F62, T15: the same headers, the same body, the same next request."""
    ordinary = b"Host: a\r\n" + (b"Content-Length: 5\r\n" if has_length else b"")
    raw = LINE + end + ordinary + b"".join(fields) + b"\r\n"
    raw = raw[: raw.find(b"\r\n\r\n") + 4]
    found = parse_head(raw)
    if found is None:
        return
    following = b"GET /next HTTP/1.1\r\nHost: b\r\n\r\n" if found.keeps_alive else b""
    first, *others = messages_in(raw + b"x" * found.body_bytes + following)
    headers = {name.lower(): value for name, value in first.headers.items()}
    assert int(headers.pop("content-length")) == found.body_bytes
    assert headers == found.headers
    assert len(first.headers) == len(found.headers) + 1
    assert (first.method, first.path) == ("POST", "/v1/chat/completions")
    assert first.should_close is not found.keeps_alive
    assert [other.path for other in others] == (["/next"] if found.keeps_alive else [])


@given(FIELDS, st.sampled_from([b"5", b"0", b"05", b"17"]), VALUES | st.just(b"17"))
def test_a_head_that_comes_again_is_read_as_if_it_were_new(
    fields: list[bytes], length: bytes, other: bytes
) -> None:
    """F62, T15"""
    first, second = (
        LINE + b"\r\nHost: a\r\nContent-Length: " + said + b"\r\n" + b"".join(fields) + b"\r\n"
        for said in (length, other)
    )
    found = parse_head(first)
    if found is None or (form := form_of(first)) is None:
        return
    assert form.read(first + b"more") == (found.body_bytes, len(first))
    if (read := form.read(second + b"more")) is not None:
        assert read[1] == len(second)
        assert parse_head(second) == Head(found.headers, read[0], found.keeps_alive)


def messages_in(raw: bytes) -> list[RawRequestMessage]:
    with closing(asyncio.new_event_loop()) as loop:
        parser = HttpRequestParser(
            BaseProtocol(loop), loop, 2**16, max_line_size=8190, max_field_size=8190
        )
        messages, is_upgraded, _ = parser.feed_data(raw)
    assert not is_upgraded
    return [message for message, _ in messages]
