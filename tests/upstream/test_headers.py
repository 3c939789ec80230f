import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.upstream.headers import Headers, for_client, for_upstream

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type:a/b\r\nX-Generation-Id: \t gen-1 \t\r\nVia: x:y\r\nvia: z\r\n"
)


def test_a_header_is_found_whatever_its_case_and_without_the_space_around_it() -> None:
    headers = Headers(HEAD)
    assert headers.get("content-TYPE") == headers["CONTENT-type"] == "a/b"
    assert headers.get("X-Generation-ID") == "gen-1"
    assert headers.get("via") == headers["Via"] == "x:y"
    assert "VIA" in headers
    assert [*headers.items()][2:] == [("Via", "x:y"), ("via", "z")]


@pytest.mark.parametrize("name", ["type", "content-typ", "HTTP/1.1 200 OK", "y", "", "a/b"])
def test_only_a_whole_name_finds_a_header(name: str) -> None:
    headers = Headers(HEAD)
    assert headers.get(name) is None
    assert headers.get(name, "none") == "none"
    assert name not in headers


class Reader:
    """What the parser itself says of a head."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.is_whole = True


pieces = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\r\n ", b":", b" ", b"\t", b"\0", b"\x85", b"\xff"]
)


@given(st.lists(st.tuples(st.integers(0, len(HEAD)), pieces | st.binary(max_size=2)), max_size=3))
def test_headers_are_what_the_parser_says_they_are(spoils: list[tuple[int, bytes]]) -> None:
    """T44: nobody may see a header that the parser did not see, or miss one that it did."""
    head = HEAD
    for at, piece in spoils:
        head = head[:at] + piece + head[at:]
    reader = Reader()
    try:
        httptools.HttpResponseParser(reader).feed_data(head + b"\r\n")
    except httptools.HttpParserError:
        return
    if reader.is_whole:
        head = head.lstrip(b"\r\n")
        headers = Headers(head[: (head + b"\r\n").index(b"\r\n\r\n") + 2])
        assert list(headers.items()) == reader.fields
        assert headers.extensions() == [f for f in reader.fields if f[0][:2].lower() == "x-"]
        for name, _ in reader.fields:
            assert headers.get(name) == next(
                v for n, v in reader.fields if n.lower() == name.lower()
            )


def test_only_what_openrouter_should_know_goes_upstream() -> None:
    """T16, F65: headers are written anew, never copied."""
    asked = {
        "x-session-id": "s-1",
        "x-openrouter-cache": "true",
        "x-openrouter-cache-ttl": "60",
        "x-openrouter-cache-clear": "true",
        "x-openrouter-metadata": "enabled",
    }
    private = {
        "authorization": "Bearer sk-the-clients-own",
        "cookie": "a=b",
        "x-forwarded-for": "10.0.0.1",
        "connection": "authorization",
        "http-referer": "https://elsewhere.example",
        "x-title": "another",
        "x-openrouter-experimental-metadata": "enabled",
        "host": "evil.example",
        "content-length": "5",
    }
    assert for_upstream({**asked, **private}) == asked


def test_only_the_providers_facts_go_to_the_client() -> None:
    """T17, T41"""
    facts = {
        "X-Generation-Id": "gen-1",
        "X-OpenRouter-Cache-Status": "HIT",
        "x-ratelimit-remaining": "9",
    }
    private = {
        "Set-Cookie": "__cf_bm=x",
        "Server": "cloudflare",
        "Content-Length": "5",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
        "X-Router-Model": "forged",
        "X-Generation-Id-2": "gen-2",
        "X-OpenRouter-" + "a" * 41: "long",
        "X-OpenRouter-A B": "no token",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**facts, **private}.items())
    assert for_client({**facts, **private}) == facts
    assert for_client(Headers(f"HTTP/1.1 200 OK\r\n{lines}".encode())) == facts


@pytest.mark.parametrize(
    "value",
    ["", "a\nb", "a\r\nSet-Cookie: x", "caf\u00e9", "\x7f", "a\tb", "x" * 1025],
    ids=["empty", "LF", "CRLF", "not ASCII", "DEL", "tab", "long"],
)
def test_a_value_that_could_be_more_than_one_is_left_out_both_ways(value: str) -> None:
    """T17, F65"""
    assert for_upstream({"x-session-id": value}) == {}
    assert for_client({"X-Generation-Id": value}) == {}


def test_the_longest_value_passes() -> None:
    assert for_upstream({"x-session-id": "x" * 1024}) == {"x-session-id": "x" * 1024}
