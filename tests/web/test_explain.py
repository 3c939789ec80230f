"""POST /route/explain: the decision, without calling any candidate."""

from typing import Any

from llm_router.classify.base import Decision
from llm_router.demo.upstream import DemoUpstream
from llm_router.proxy.plan import Plan
from llm_router.routing.breaker import Breakers
from llm_router.routing.chain import Candidate, Needs
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit
from llm_router.settings import BreakerSettings
from llm_router.web.explain import ROUTES, explanation
from llm_router.web.routes import Scope
from tests.fakes.clock import Clock
from tests.integration.conftest import Router, Start

DECISION = Decision(
    "code", "local", 0.75, "a rule", runners_up=(("reasoning", 0.2),), skipped=("ollama: timeout",)
)

NEEDS = Needs(12, 100, tools=True, messages=b'[{"image_url":{}}]')


def fates(shown: dict[str, Any]) -> list[str]:
    return [candidate["fate"] for candidate in shown["chain"]]


def test_it_is_for_the_admin() -> None:
    assert [(r.method, r.path, r.scope) for r in ROUTES] == [
        ("POST", "/route/explain", Scope.ADMIN)
    ]


def test_it_says_what_was_decided_and_what_becomes_of_each_candidate() -> None:
    breakers = Breakers(
        BreakerSettings(failures=1), Clock(), lambda change: None, lease_s=9, boot_id=None
    )
    permit = breakers.admit("b/two", "req_0")
    assert isinstance(permit, Permit)
    breakers.failed(permit, Failure(FailureClass.UPSTREAM_5XX, "x", 503))
    chain = (
        Candidate("one", "a/one", "tools"),
        Candidate("two", "b/two"),
        Candidate("three", "c/three"),
        Candidate("d/four", "d/four"),
    )
    shown = explanation(Plan(DECISION, chain), NEEDS, breakers)
    assert shown == {
        "category": "code",
        "classifier": "local",
        "confidence": 0.75,
        "rule": "a rule",
        "runners_up": [{"category": "reasoning", "confidence": 0.2}],
        "skipped": ["ollama: timeout"],
        "session": None,
        "needs": {
            "prompt_tokens": 12,
            "max_tokens": 100,
            "tools": True,
            "images": True,
            "structured_output": False,
        },
        "model": "c/three",
        "chain": [
            {"name": "one", "model": "a/one", "fate": "left out: tools"},
            {"name": "two", "model": "b/two", "fate": "skipped: upstream_5xx (HTTP 503)"},
            {"name": "three", "model": "c/three", "fate": "first"},
            {"name": "d/four", "model": "d/four", "fate": "fallback"},
        ],
    }


def test_without_breakers_every_candidate_counts_as_healthy() -> None:
    shown = explanation(Plan(DECISION, (Candidate("a", "a/a"), Candidate("b", "b/b"))), NEEDS, None)
    assert fates(shown) == ["first", "fallback"]


def test_if_nobody_can_serve_no_model_is_named() -> None:
    shown = explanation(Plan(DECISION, (Candidate("a", "a/a", "images"),)), NEEDS, None)
    assert (shown["model"], fates(shown)) == (None, ["left out: images"])


def prompt(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "router", "messages": [{"role": "user", "content": text}], **more}


async def test_nobody_is_called_and_nothing_is_booked(
    router: Router, upstream: DemoUpstream
) -> None:
    shown = await router.send("POST", "/route/explain", prompt("Write a python function"))
    assert (shown["category"], shown["classifier"]) == ("code", "keywords")
    assert shown["model"] == "z-ai/glm-5"
    assert upstream.calls() == []
    assert await router.rows() == []


async def test_a_header_forces_a_category_here_too(router: Router) -> None:
    headers = {"x-router-category": "reasoning"}
    async with router.http.post(
        router.url + "/route/explain", json=prompt("hi"), headers=headers
    ) as response:
        assert (await response.json())["category"] == "reasoning"


async def test_a_body_that_cannot_be_routed_is_refused_as_in_chat(router: Router) -> None:
    refused = await router.send("POST", "/route/explain", {"model": "router"}, status=400)
    assert refused["error"]["param"] == "messages"
    body = prompt("hi", model="no-such-model")
    refused = await router.send("POST", "/route/explain", body, status=404)
    assert refused["error"]["type"] == "model_not_found"


async def test_a_classifier_that_has_to_be_asked_is_booked(
    start: Start, upstream: DemoUpstream
) -> None:
    async with start(classifier={"mode": "api", "budget_ms": 10_000}) as router:
        shown = await router.send("POST", "/route/explain", prompt("Tell me something"))
        assert shown["classifier"] == "api"
        [attempt] = await router.rows("attempts")
        assert (attempt["kind"], attempt["outcome"]) == ("classifier", "completed")
        assert await router.rows() == []
