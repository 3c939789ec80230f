from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.routing.failures import Failure, FailureClass
from llm_router.upstream.evidence import MESSAGE_CHARS
from llm_router.upstream.failures import from_answer, from_error_object
from tests.fakes.effort import examples

C = FailureClass
NOW = 1_769_860_800.0  # 2026-01-31T12:00:00Z
IN_A_MINUTE = "Sat, 31 Jan 2026 12:01:00 GMT"


def answer(
    status: int, error: object = None, headers: dict[str, str] | None = None, *, body: bytes = b""
) -> Failure:
    body = msgspec.json.encode({"error": error}) if error is not None else body
    return from_answer(status, headers or {}, body, now=NOW)


def error(message: str = "x", **metadata: Any) -> dict[str, Any]:
    return {"message": message, "metadata": metadata}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 520, 522, 524, 529])
def test_a_failing_provider_counts_against_the_model(status: int) -> None:
    """F08"""
    failure = answer(status, error("down"))
    assert failure.kind is C.UPSTREAM_5XX
    assert failure.http_status == status
    assert failure.rule.counts == "model"


@pytest.mark.parametrize("status", [400, 409, 412, 413, 415, 422, 431, 501, 505])
def test_a_fault_of_the_request_is_nobodys_failure(status: int) -> None:
    """F13"""
    failure = answer(status, error("max_tokens must be positive"))
    assert failure.kind is C.REQUEST
    assert failure.upstream_message == "max_tokens must be positive"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 405])
def test_a_redirect_means_a_wrong_address(status: int) -> None:
    """T09"""
    assert answer(status, headers={"Location": "http://169.254.169.254/"}).kind is C.MISCONFIGURED


def test_not_found_without_an_error_object_means_a_wrong_address() -> None:
    assert answer(404, body=b"404 page not found").kind is C.MISCONFIGURED


@pytest.mark.parametrize(
    ("status", "found", "kind"),
    [
        (401, error("User not found."), C.AUTH),
        (402, error("Insufficient credits"), C.NO_CREDIT),
        (403, error("You do not have permission"), C.AUTH),
        (403, error("Key limit exceeded (monthly limit)"), C.NO_CREDIT),
        (403, error("budget", limit_source="workspace"), C.NO_CREDIT),
        (403, error("flagged", reasons=["hate"], provider_name="OpenAI"), C.POLICY),
        (403, error("blocked", patterns=["ssn"]), C.POLICY),
        (403, error("The guardrail's budget is used up", limit_source="guardrail"), C.NO_CREDIT),
        (
            403,
            error("Request blocked: prompt injection found", error_type="permission_denied"),
            C.POLICY,
        ),
        (403, error("This model requires moderation"), C.POLICY),
        (403, error("Your input was flagged"), C.POLICY),
        (403, error("Blocked by a guardrail of your workspace"), C.POLICY),
        (403, error("no", error_type="content_policy_violation"), C.POLICY),
        (403, error("Provider returned error", provider_name="Google"), C.UPSTREAM_5XX),
        (401, error("Provider returned error", provider_name="Google"), C.UPSTREAM_5XX),
        (400, error("no", error_type="refusal"), C.POLICY),
    ],
)
def test_the_accounts_faults_are_told_from_refusals(
    status: int, found: object, kind: FailureClass
) -> None:
    """F11"""
    assert answer(status, found).kind is kind


def test_credit_that_is_only_reserved_is_waited_for() -> None:
    """F12"""
    failure = answer(402, error("in flight"), {"Retry-After": "7"})
    assert failure.kind is C.RATE_LIMITED
    assert failure.retry_after_s == 7
    assert answer(402, error("in flight", retry_after_seconds=3)).kind is C.RATE_LIMITED
    assert answer(402, error("x"), {"Retry-After": "soon"}).kind is C.RATE_LIMITED


def test_a_spent_budget_is_waited_for_until_it_resets() -> None:
    failure = answer(403, error("x", limit_source="key", resets_at="2026-01-31T12:30:00Z"))
    assert (failure.kind, failure.retry_after_s) == (C.NO_CREDIT, 1800)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (404, error("No endpoints found for openrouter/aurora-alpha.")),
        (404, error("The model is no longer available")),
        (404, "model 'x' not found"),
        (410, error("retired")),
        (400, error("acme/fake-1.0 is not a valid model ID")),
        (400, {"code": "model_not_found", "message": "no"}),
        (400, error("Model acme/fake not found")),
        (404, {"error_type": "not_found", "availability": {"code": "model_deprecated"}}),
        (400, {"message": "x", "availability": {"code": "new_word", "retryable": False}}),
        (503, {"message": "x", "availability": {"code": "free_variant_ended"}}),
    ],
)
def test_a_model_that_is_gone_is_recognised(status: int, found: object) -> None:
    """F14"""
    assert answer(status, found).kind is C.MODEL_GONE


def test_a_prompt_that_is_quoted_cannot_put_a_model_to_rest() -> None:
    """T42"""
    quoted = error("Invalid input: acme/fake-1.0 is not a valid model ID", provider_name="Venice")
    assert answer(400, quoted).kind is C.REQUEST


@pytest.mark.parametrize(
    "found",
    [
        error("No endpoints found that support tool use. To learn more about provider routing..."),
        error("No endpoints found matching your data policy"),
        error("No endpoints available matching your guardrail restrictions and data policy."),
        error("No allowed providers are available for the selected model."),
        {"message": "x", "availability": {"code": "constraint_filtered", "retryable": False}},
    ],
)
def test_a_model_that_cannot_serve_this_request_is_not_gone(found: object) -> None:
    failure = answer(404, found)
    assert failure.kind is C.INCAPABLE
    assert failure.rule.falls_back
    assert failure.rule.cools == "nothing"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("25", 25),
        ("0.5", 1),
        ("0", 1),
        ("-3", 1),
        ("1000000000", 3600),
        (IN_A_MINUTE, 60),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 1),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("1e9", None),
        ("9" * 400, None),
        ("Sat, 99 Foo 2026", None),
    ],
)
def test_retry_after_is_read_and_clamped(value: str, seconds: float | None) -> None:
    """F09"""
    failure = answer(429, error("slow down"), {"retry-after": value})
    assert failure.kind is C.RATE_LIMITED
    assert failure.retry_after_s == seconds


@pytest.mark.parametrize(
    ("metadata", "seconds"),
    [
        ({"retry_after_seconds": 25, "retry_after_seconds_raw": 24.7}, 25),
        ({"headers": {"Retry-After": "9"}}, 9),
        ({"headers": {"X-RateLimit-Reset": str(int((NOW + 40) * 1000))}}, 40),
        ({"headers": {"X-RateLimit-Reset": NOW + 41}}, 41),
        ({"headers": {"X-RateLimit-Reset": "42"}}, 42),
        ({"headers": {"X-RateLimit-Reset": True}}, None),
        ({"headers": {"X-RateLimit-Reset": "never"}}, None),
        ({"retry_after_seconds": True}, None),
        ({"retry_after_seconds": [1]}, None),
        ({"retry_after_seconds": 10**400}, 3600),
        ({"headers": "none"}, None),
    ],
)
def test_the_wait_is_found_in_the_body_too(metadata: dict[str, Any], seconds: float | None) -> None:
    found = {"message": "x", "metadata": metadata}
    assert from_error_object(found, status=429, now=NOW).retry_after_s == seconds


def test_a_number_that_is_no_number_is_no_wait() -> None:
    found = {"metadata": {"retry_after_seconds": float("nan")}}
    assert from_error_object(found, status=429).retry_after_s is None


def test_a_retry_date_is_read_by_the_clock_of_the_answer() -> None:
    headers = {"Date": "Sat, 31 Jan 2026 12:00:30 GMT", "Retry-After": IN_A_MINUTE}
    assert from_answer(429, headers, b"").retry_after_s == 30


@pytest.mark.parametrize(
    ("found", "headers", "rests_all"),
    [
        (error("Rate limit exceeded"), {"X-RateLimit-Limit": "20"}, True),
        (error("x", headers={"X-RateLimit-Reset": "1"}), {}, True),
        (error("Rate limit exceeded: free-models-per-min"), {"X-RateLimit-Limit": "20"}, False),
        (error("x", provider_name="Venice"), {"X-RateLimit-Limit": "20"}, False),
        (error("x"), {}, False),
    ],
    ids=["platform", "platform in the body", "free models", "provider", "nobody says"],
)
def test_the_platforms_limit_rests_every_model(
    found: object, headers: dict[str, str], rests_all: bool
) -> None:
    """F10"""
    failure = answer(429, found, headers)
    assert (failure.kind, failure.rests_all) == (C.RATE_LIMITED, rests_all)


def test_credit_that_calls_in_flight_have_reserved_rests_every_model() -> None:
    """F12"""
    failure = answer(402, error("x"), {"Retry-After": "9"})
    assert (failure.kind, failure.rests_all) == (C.RATE_LIMITED, True)
    assert not answer(402, error("x")).rests_all


def test_an_overload_that_names_its_end_is_a_cool_down() -> None:
    assert answer(503, error("busy"), {"Retry-After": "2"}).kind is C.RATE_LIMITED
    assert answer(502, error("busy"), {"Retry-After": "2"}).kind is C.UPSTREAM_5XX
    busy = {"message": "x", "availability": {"code": "temporarily_unavailable", "retry_after": 4}}
    assert answer(503, busy).kind is C.RATE_LIMITED
    assert answer(503, busy).retry_after_s == 4
    assert answer(404, {"availability": {"code": "capacity_exhausted"}}).kind is C.RATE_LIMITED
    assert answer(404, {"availability": {"code": "temporarily_unavailable"}}).kind is C.UPSTREAM_5XX


@pytest.mark.parametrize(
    ("found", "kind", "status"),
    [
        ({"code": 502, "message": "Upstream error from Nvidia"}, C.UPSTREAM_5XX, 502),
        ({"code": "429", "message": "slow"}, C.RATE_LIMITED, 429),
        ({"code": "server_error", "message": "x"}, C.UPSTREAM_5XX, 500),
        ({"code": "context_length_exceeded"}, C.REQUEST, 400),
        ({"http_status": 404, "error_type": "not_found"}, C.MODEL_GONE, 404),
        (error("x", error_type="rate_limit_exceeded"), C.RATE_LIMITED, 429),
        (error("x", error_type="authentication"), C.AUTH, 401),
        (error("x", error_type="content_policy_violation"), C.POLICY, 400),
        (error("x", error_type="unmapped"), C.UPSTREAM_5XX, 502),
        (error("x", provider_code="insufficient_quota"), C.NO_CREDIT, 402),
        ({"code": 400, "message": "prompt is too long"}, C.REQUEST, 400),
        ({"code": 0, "message": "x"}, C.UPSTREAM_5XX, 502),
        ({"code": True, "message": "x"}, C.UPSTREAM_5XX, 502),
        ("overloaded", C.UPSTREAM_5XX, 502),
    ],
)
def test_an_error_inside_a_200_counts_as_its_own_code(
    found: object, kind: FailureClass, status: int
) -> None:
    """F15, F17, F26"""
    for failure in (from_error_object(found, status=200, now=NOW), answer(200, found)):
        assert (failure.kind, failure.http_status) == (kind, status)


def test_the_http_status_speaks_before_the_code_in_the_body() -> None:
    assert answer(503, {"code": 400, "message": "x"}).kind is C.UPSTREAM_5XX


@pytest.mark.parametrize(
    "body",
    [b"<html>checking your browser</html>", b"", b"[]", b"null", b'{"error":null}', b'{"error":7}'],
)
def test_a_200_without_an_answer_or_an_error_is_a_broken_protocol(body: bytes) -> None:
    """F16"""
    assert answer(200, body=body).kind is C.PROTOCOL


def test_a_page_of_html_with_an_error_status_is_judged_by_its_status() -> None:
    failure = answer(502, body=b"<html>cloudflare</html>")
    assert (failure.kind, failure.upstream_message) == (C.UPSTREAM_5XX, None)


def test_upstreams_words_are_short_and_printable() -> None:
    """T25, T41"""
    found = error("a\x1b[31m\n\x00b\u202ec" + "d" * 600, provider_name="P\r\nSet-Cookie: x")
    failure = answer(400, {**found, "code": 400})
    assert failure.upstream_message is not None
    assert failure.upstream_message.startswith("a [31m b cddd")
    assert len(failure.upstream_message) == MESSAGE_CHARS
    assert failure.upstream_provider == "P Set-Cookie: x"


def test_a_key_in_upstreams_words_is_masked() -> None:
    """T10"""
    failure = answer(401, error("Incorrect API key provided: sk-or-v1-0123456789abcdef."))
    assert failure.upstream_message == "Incorrect API key provided: sk-***."


def test_what_upstream_says_about_the_prompt_is_not_repeated() -> None:
    """T11"""
    failure = answer(403, error("flagged", flagged_input="my secret diary", raw="my secret diary"))
    assert "secret diary" not in repr(failure)


def test_type_and_provider_are_kept() -> None:
    found = error("x", error_type="invalid_request", provider_name="Venice")
    failure = answer(400, found)
    assert failure.upstream_error_type == "invalid_request"
    assert failure.upstream_provider == "Venice"


def test_a_deep_or_huge_body_is_not_read() -> None:
    """T21"""
    assert answer(500, body=b"[" * 200_000).kind is C.UPSTREAM_5XX
    assert answer(200, body=b'{"error":{"code":429}}' + b" " * (1 << 20)).kind is C.PROTOCOL


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "code",
                    "message",
                    "metadata",
                    "error_type",
                    "availability",
                    "headers",
                    "raw",
                    "retry_after_seconds",
                    "provider_name",
                    "X-RateLimit-Reset",
                    "resets_at",
                    "http_status",
                ]
            ),
            children,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=examples(150), deadline=None)
@given(found=json, status=st.integers(-5, 1000), wait=st.text(max_size=30), body=st.binary())
def test_whatever_comes_is_classified(found: object, status: int, wait: str, body: bytes) -> None:
    for failure in (
        from_error_object(found, status=status),
        from_answer(status, {"Retry-After": wait, "Date": wait}, body),
    ):
        assert isinstance(failure.kind, FailureClass)
        assert failure.retry_after_s is None or 1 <= failure.retry_after_s <= 3600
        assert len(failure.upstream_message or "") <= MESSAGE_CHARS
