"""One attempt at one candidate: what both kinds of answer share, above all how it is settled.

Exactly one of `completed`, `failed`, `broke_off` and `abandoned` takes effect; `close` catches what
is left, so no permit stays out and no row stays open while the process lives.
"""

from collections.abc import Awaitable, Mapping

from msgspec import Struct

from llm_router.clock import Clock
from llm_router.errors import UpstreamError
from llm_router.ledger.cost import REFUSED_COST, UNKNOWN_COST, Cost
from llm_router.ledger.pricing import cost_of
from llm_router.proxy.answer import read_answer
from llm_router.proxy.body import ChatBody
from llm_router.proxy.deadline import Deadlines
from llm_router.proxy.exchange import Exchange
from llm_router.proxy.facts import Facts
from llm_router.proxy.relay import ClientStream
from llm_router.routing.breaker import Breakers
from llm_router.routing.catalog import Catalog
from llm_router.routing.chain import Candidate
from llm_router.routing.failures import Failure, FailureClass
from llm_router.routing.permits import Permit
from llm_router.settings import Settings
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.failures import from_answer
from llm_router.upstream.headers import for_client
from llm_router.upstream.response import UpstreamResponse

_ERROR_BODY_LIMIT = 256 * 1024


class Context(Struct, frozen=True):
    """What a request's attempts have in common; `catalog` is the request's own snapshot.

    `headers` are the client's that go upstream.
    """

    settings: Settings
    upstream: UpstreamClient
    deadlines: Deadlines
    breakers: Breakers
    catalog: Catalog
    clock: Clock
    exchange: Exchange
    body: ChatBody
    client: ClientStream
    headers: Mapping[str, str]


class Call:
    """Journals the call as it is made; `run` of the two subclasses sends it."""

    def __init__(
        self, context: Context, model: str, permit: Permit, *, on_new_connection: bool = False
    ) -> None:
        self.context = context
        self._on_new_connection = on_new_connection
        self.permit = permit
        self.attempt = context.exchange.attempt("chat", model)
        self.response: UpstreamResponse | None = None

    async def run(self, chain_ends: float, later: tuple[Candidate, ...]) -> Failure | None:
        """Answer the client, or return a Failure of which it has seen nothing.

        `later` are the candidates that could still be asked.
        """
        raise NotImplementedError

    def is_last(self, later: tuple[Candidate, ...]) -> bool:
        """True when nobody is left who might say more than this candidate."""
        peek = self.context.breakers.peek
        return all(c.left_out is not None or peek(c.model) is not None for c in later)

    async def broke(self, failure: Failure) -> Failure:
        """The call ended badly. Raises ResponseCut when the client had seen some of the answer."""
        return self.failed(failure, was_refused=was_never_sent(failure))

    def facts(self) -> Facts:
        """Return what is known of the answer so far."""
        raise NotImplementedError

    def send(self) -> Awaitable[UpstreamResponse]:
        """Send the request; returns at the response headers. Raises UpstreamError."""
        context = self.context
        body = context.body.for_model(self.attempt.model, context.settings.upstream)
        return context.upstream.chat(
            *body, headers=context.headers, on_new_connection=self._on_new_connection
        )

    async def refusal(self, response: UpstreamResponse, content_type: str) -> Failure | None:
        """Return why this is no answer, judging by status, headers and, if need be, the body."""
        headers = response.headers
        if response.status != 200:
            body = await response.body(_ERROR_BODY_LIMIT)
            return from_answer(response.status, headers, body, now=self.context.clock.wall())
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            message = "The provider compressed its answer although it was asked not to."
            return Failure(FailureClass.PROTOCOL, message, 200)
        if headers.get("Content-Type", "").lower().startswith(content_type):
            return None
        _, failure = read_answer(await response.body(_ERROR_BODY_LIMIT))
        if failure is not None:
            return failure
        return Failure(FailureClass.PROTOCOL, f"The provider's answer is not {content_type}.", 200)

    def client_headers(self) -> dict[str, str]:
        ours = self.context.exchange.headers()
        return ours if self.response is None else for_client(self.response.headers) | ours

    # Settlements

    def completed(self, facts: Facts, note: str | None = None) -> None:
        """Book a whole answer, before the bytes that end it are written."""
        if note == "empty":
            self.context.breakers.neutral(self.permit)
        else:
            self.context.breakers.succeeded(self.permit)
        cost = facts.cost or self._list_price(facts)
        self.context.exchange.completed(self.attempt, cost, facts, note)

    def failed(self, failure: Failure, *, was_refused: bool = False) -> Failure:
        """Book an attempt of which the client has seen nothing."""
        self.context.breakers.failed(self.permit, failure)
        if self.response is not None:  # a generation may stand behind it, and be charged
            self.attempt.generation_id = self.attempt.generation_id or self.response.generation_id
        facts = self.facts()
        cost = facts.cost or (REFUSED_COST if was_refused else UNKNOWN_COST)
        self.context.exchange.attempt_over(
            self.attempt,
            "failed",
            cost,
            facts,
            http_status=failure.http_status or self._http_status(),
            error_class=failure.kind.value,
        )
        return failure

    def broke_off(self, failure: Failure, error_class: str | None = None) -> None:
        """Book an answer that ended too early; the client is about to be told."""
        self.context.breakers.failed(self.permit, failure)
        facts, error_class = self.facts(), error_class or failure.kind.value
        self.context.exchange.attempt_over(
            self.attempt,
            "truncated",
            facts.cost or UNKNOWN_COST,
            facts,
            http_status=200,
            error_class=error_class,
        )
        self.context.exchange.finish("truncated", 200, error_class)

    def abandoned(self) -> None:
        """The client left: no evidence about the model, and a cost that must be asked for."""
        self.context.breakers.neutral(self.permit)
        facts = self.facts()
        self.context.exchange.attempt_over(
            self.attempt,
            "abandoned",
            facts.cost or UNKNOWN_COST,
            facts,
            http_status=self._http_status(),
            error_class=FailureClass.CLIENT_GONE.value,
        )

    def close(self) -> None:
        """Free the connection, which cancels a generation still under way, and whatever is owed."""
        if self.response is not None:
            self.response.close()
        if not self.permit.is_settled:
            self.context.breakers.neutral(self.permit)
        if not self.attempt.is_over:
            self.context.exchange.attempt_over(
                self.attempt, "failed", UNKNOWN_COST, error_class=FailureClass.LOCAL.value
            )

    def _http_status(self) -> int | None:
        """What stood in the status line, if it came to that."""
        return None if self.response is None else self.response.status

    def _list_price(self, facts: Facts) -> Cost:
        catalog, usage = self.context.catalog, facts.usage
        pricing = catalog.pricing(facts.model or "") or catalog.pricing(self.attempt.model)
        return cost_of(usage, pricing, now=self.context.clock.wall())


def is_as_asked(response: UpstreamResponse, content_type: str) -> bool:
    """Whether it begins like nearly every good answer; of any other `refusal` says what it is."""
    headers = response.headers
    return (
        response.status == 200
        and headers.get("Content-Type", "").startswith(content_type)
        and "Content-Encoding" not in headers
    )


def before_answer(exc: UpstreamError) -> Failure:
    """Say what a broken connection means while the client has seen nothing."""
    is_mid = exc.kind in (FailureClass.RESET_MID, FailureClass.TRUNCATED)
    kind = FailureClass.PROTOCOL if is_mid else exc.kind
    return Failure(kind, exc.message)


def is_refusal(failure: Failure) -> bool:
    """True for an error of the provider, by the answer's status or by the one it holds inside."""
    return failure.http_status is not None and failure.http_status >= 300


def was_never_sent(failure: Failure) -> bool:
    """True when no provider can have begun to work, so nothing can have been charged."""
    return failure.kind in (
        FailureClass.TRANSPORT,
        FailureClass.CONNECT_TIMEOUT,
        FailureClass.LOCAL,
        FailureClass.STALE_CONNECTION,
    )
