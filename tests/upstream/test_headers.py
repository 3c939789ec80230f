import pytest

from llm_router.upstream.headers import for_client, for_upstream


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
    assert for_client({**facts, **private}) == facts


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
