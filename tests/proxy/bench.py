"""One request's walk on a loop whose clock jumps: a scripted provider and a client that notes all.

    bench = Bench([Answer(steps=[content("Hi"), finish(), DONE])])
    run(bench.dispatch())
    bench.client.body, bench.journal.entries, bench.called

A step of an answer is bytes to send, seconds to wait, an UpstreamError to break off with, or END.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from multidict import CIMultiDict

from llm_router.classify.base import Decision
from llm_router.errors import ClientGone, HttpError, UpstreamError
from llm_router.ledger import journal as journal_module
from llm_router.ledger.entry import AttemptFinished, AttemptStarted, RequestFinished
from llm_router.proxy.body import parse_body
from llm_router.proxy.call import Context
from llm_router.proxy.deadline import Deadlines
from llm_router.proxy.dispatch import dispatch
from llm_router.proxy.exchange import Exchange
from llm_router.proxy.relay import ClientStream, ResponseCut
from llm_router.routing.breaker import Breakers
from llm_router.routing.catalog import Catalog
from llm_router.routing.chain import Candidate
from llm_router.settings import DeadlineSettings, Settings
from llm_router.tasks import launch
from llm_router.upstream.client import UpstreamClient
from llm_router.upstream.connection import Connection
from llm_router.upstream.response import UpstreamResponse
from tests.fakes.clock import Clock
from tests.fakes.journal import Journal
from tests.fakes.waiting import until
from tests.proxy.chunks import DONE, content, finish, usage

END = "end"
Step = bytes | float | UpstreamError | str
MODELS = ("a/one", "b/two", "c/three")
SSE = {"Content-Type": "text/event-stream; charset=utf-8", "X-Generation-Id": "gen-header"}
JSON = {"Content-Type": "application/json", "X-Generation-Id": "gen-header"}
HELLO: tuple[Step, ...] = (content("Hello"), finish(), usage(), DONE, END)


class LoopClock(Clock):
    """The loop's time, so that what is measured is what was waited."""

    def monotonic(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:  # a bench is made before its loop runs
            return 0.0


class FakeConnection:
    def __init__(self) -> None:
        self.is_aborted = False
        self.is_paused = False

    def abort(self) -> None:
        self.is_aborted = True

    def discard(self, response: UpstreamResponse) -> None:
        self.is_aborted = True

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False


@dataclass
class Answer:
    """`error` is raised instead of an answer, after `delay_s`."""

    steps: Sequence[Step] = HELLO
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: SSE)
    error: UpstreamError | None = None
    delay_s: float = 0
    connection: FakeConnection = field(default_factory=FakeConnection)

    async def play(self, response: UpstreamResponse) -> None:
        for step in self.steps:
            if isinstance(step, bytes):
                await until(lambda: not self.connection.is_paused)
                response.feed(step)
            elif isinstance(step, UpstreamError):
                response.fail(step)
            elif isinstance(step, str):
                response.end()
            else:
                await asyncio.sleep(step)


class FakeUpstream:
    """Gives the next answer to each call; the last one again and again."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str] | None] = []
        self.at: list[float] = []

    async def chat(
        self,
        *body: bytes | memoryview,
        headers: Mapping[str, str] | None = None,
        on_new_connection: bool = False,
    ) -> UpstreamResponse:
        answer = self.answers[min(len(self.bodies), len(self.answers) - 1)]
        self.bodies.append(b"".join(body))
        self.headers.append(headers)
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(answer.delay_s)
        if answer.error is not None:
            raise answer.error
        connection = cast(Connection, answer.connection)
        response = UpstreamResponse(connection, answer.status, CIMultiDict(answer.headers))
        launch(answer.play(response), name="answer")
        return response


class FakeClient:
    """The client's side: what it was sent, and what stood in the journal at that moment.

    `leaves_after` is how many writes it stays for, `slow_s` how long each of its drains takes.
    """

    def __init__(self, journal: Journal) -> None:
        self.body = b""
        self.headers: Mapping[str, str] | None = None
        self.writes: list[tuple[bytes, float]] = []
        self.booked: list[bool] = []
        self.is_ended = False
        self.is_cut = False
        self.leaves_after = 10**9
        self.slow_s = 0.0
        self.keep_alive_headers: Callable[[], Mapping[str, str]] | None = None
        self._journal = journal

    @property
    def is_open(self) -> bool:
        return self.headers is not None

    async def open(self, headers: Mapping[str, str]) -> None:
        if self.headers is None:
            self.headers = dict(headers)

    async def write(self, data: bytes) -> None:
        if self.write_now(data):
            await self.drain()

    def write_now(self, data: bytes) -> bool:
        assert self.is_open
        if len(self.writes) >= self.leaves_after:
            raise ClientGone("The client left.")
        self.body += data
        self.writes.append((data, asyncio.get_running_loop().time()))
        self.booked.append(bool(self._journal.all(RequestFinished)))
        return self.slow_s > 0

    async def drain(self) -> None:
        await asyncio.sleep(self.slow_s)

    async def whole(self, headers: Mapping[str, str], body: bytes) -> None:
        if not self.leaves_after:
            raise ClientGone("The client left.")
        self.headers, self.body = dict(headers), body
        self.booked.append(bool(self._journal.all(RequestFinished)))
        self.is_ended = True

    async def end(self) -> None:
        self.is_ended = True

    async def cut(self, error: Mapping[str, Any] | None) -> ResponseCut:
        self.is_cut = True
        self.error = error
        return ResponseCut("cut")

    def keep_alive(self, headers: Callable[[], Mapping[str, str]]) -> None:
        self.keep_alive_headers = headers

    async def stop_keep_alive(self) -> None:
        self.keep_alive_headers = None

    async def open_early(self) -> None:
        """What the keep-alive does when nothing has come for a while."""
        assert self.keep_alive_headers is not None
        await self.open(self.keep_alive_headers())


class Bench:
    """`left_out` says of models why they cannot serve; other options are deadlines."""

    def __init__(
        self,
        answers: Iterable[Answer] = (),
        *,
        is_stream: bool = True,
        catalog: Catalog | None = None,
        models: Sequence[str] = MODELS,
        left_out: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **deadlines: float,
    ) -> None:
        self.clock = LoopClock()
        self.journal = Journal()
        self.upstream = FakeUpstream(answers)
        self.client = FakeClient(self.journal)
        self.settings = Settings(deadlines=DeadlineSettings.model_validate(deadlines))
        self.catalog = catalog or Catalog()
        self.headers = headers or {}
        self.chain = tuple(Candidate(m, m, (left_out or {}).get(m)) for m in models)
        self.body = b'{"messages":[1],"stream":%s}' % str(is_stream).lower().encode()
        self.breakers = Breakers(
            self.settings.breaker, self.clock, lambda change: None, lease_s=70, boot_id=None
        )
        self.exchange: Exchange | None = None
        self.states: dict[str, str] = {}  # of breakers and gates, behind the request

    @property
    def called(self) -> list[str]:
        """The models that were called, in order."""
        return [attempt.model for attempt in self.journal.all(AttemptStarted)]

    @property
    def attempts(self) -> list[AttemptFinished]:
        return self.journal.all(AttemptFinished)

    @property
    def request(self) -> RequestFinished:
        return self.journal.only(RequestFinished)

    def context(self) -> Context:
        """Begin a request, as the chat handler does."""
        journal = cast(journal_module.Journal, self.journal)
        exchange = self.exchange = Exchange("req_1", journal, self.clock)
        body = parse_body(self.body)
        exchange.begin(body.model, body.is_stream, None, None)
        exchange.decided(Decision("code", "keywords"))
        return Context(
            settings=self.settings,
            upstream=cast(UpstreamClient, self.upstream),
            deadlines=Deadlines(),
            breakers=self.breakers,
            catalog=self.catalog,
            clock=self.clock,
            exchange=exchange,
            body=body,
            client=cast(ClientStream, self.client),
            headers=self.headers,
        )

    async def dispatch(self) -> None:
        """Walk the chain and end the request as the chat handler does."""
        context = self.context()
        try:
            await dispatch(context, self.chain)
        except HttpError as exc:
            context.exchange.finish("failed", exc.status, exc.type)
            raise
        except (asyncio.CancelledError, ClientGone):
            context.exchange.finish("abandoned", 499, "client_gone")
            raise
        finally:
            context.exchange.finish("failed", 500, "internal")
            self.states = {view.subject: view.state for view in self.breakers.views()}

    async def error(self) -> HttpError:
        """Return the error that a walk without an answer raises."""
        try:
            await self.dispatch()
        except HttpError as exc:
            return exc
        raise AssertionError("there was an answer")

    async def cut(self) -> Mapping[str, Any] | None:
        """Return the last event of our own of a stream that broke off."""
        try:
            await self.dispatch()
        except ResponseCut:
            assert self.client.is_cut
            return self.client.error
        raise AssertionError("the answer was whole")
