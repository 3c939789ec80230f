"""Whatever upstream sends: an answer or an error in the one shape, and a row that is true."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from llm_router import keys
from llm_router.ledger.fold import Fold
from llm_router.ledger.reconcile import Reconciler
from llm_router.routing.catalog import Catalog, CatalogHolder
from llm_router.routing.config import ConfigHolder
from llm_router.routing.defaults import default_config
from llm_router.storage.ledger import SqliteLedger
from llm_router.storage.models import ModelStorage, load_catalog
from llm_router.storage.sqlite import open_database
from llm_router.tasks import spawn
from llm_router.upstream.models import ModelList
from llm_router.upstream.retry_after import duration_s, moment_s
from tests.fakes.chaos import REQUEST, Step
from tests.fakes.clock import Clock
from tests.fakes.effort import drawn
from tests.fuzz import shapes
from tests.integration.client import chat
from tests.integration.conftest import Start
from tests.integration.wire import ANSWER, PLAIN, plain, router_on, stream
from tests.ledger.entries import attempt_finished, attempt_started
from tests.oracles.loop import longest_callback

BLOCKED_MS = 50
STATUSES = st.sampled_from(
    [b"200 OK", b"200 OK", b"200", b"204 No", b"402 X", b"429 X", b"500 X", b"600 X", b"99 X"]
)
FIELDS = st.sampled_from(
    [
        b"",
        b"Retry-After: 10\r\n",
        b"Retry-After: never\r\n",
        b"X-Generation-Id: gen-1\r\n",
        b"X-Generation-Id: \xff\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Connection: close\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"Trailer: x\r\n",
    ]
)
chunks = shapes.objects(
    id=shapes.texts,
    model=shapes.texts,
    provider=shapes.texts,
    choices=st.lists(
        shapes.objects(
            index=shapes.numbers,
            delta=shapes.objects(content=shapes.texts, reasoning=shapes.texts, role=shapes.texts),
            message=shapes.objects(content=shapes.texts),
            finish_reason=st.sampled_from(["stop", "error", "length", None]),
        ),
        max_size=2,
    ),
    usage=shapes.objects(
        prompt_tokens=shapes.numbers, completion_tokens=shapes.numbers, cost=shapes.numbers
    ),
    error=shapes.objects(message=shapes.texts, code=shapes.numbers | shapes.texts),
)
events = (chunks | shapes.values).map(lambda value: b"data: " + shapes.encoded(value) + b"\n\n")
blocks = (
    events | st.binary(max_size=50) | st.sampled_from([b"data: [DONE]\n\n", b": x\n\n", ANSWER])
)


def received(value: object) -> Any:
    """Return a value as a client reads it from its JSON; None for what is none."""
    try:
        return msgspec.json.decode(shapes.encoded(value))
    except msgspec.DecodeError:
        return None


def spoilt(raw: bytes, place: int, byte: int) -> bytes:
    place %= len(raw)
    return raw[:place] + bytes([byte]) + raw[place + 1 :]


def answers(sound: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Whole answers, answers with one byte changed, answers cut short, and no answers."""
    changed = st.builds(spoilt, sound, st.integers(0, 3000), st.integers(0, 255))
    cut = st.builds(lambda raw, end: raw[: end % len(raw)], sound, st.integers(0, 3000))
    return sound | changed | cut | st.binary(max_size=200)


STREAMS = answers(st.lists(blocks, max_size=5).map(lambda parts: stream(*filter(None, parts))))
PLAINS = answers(
    st.builds(
        lambda body, status, fields: plain(body, status=status, headers=fields),
        (chunks | shapes.values).map(shapes.encoded) | st.just(PLAIN) | st.binary(max_size=50),
        STATUSES,
        FIELDS,
    )
)


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
async def test_no_answer_upsets_it(start: Start, is_stream: bool) -> None:
    """F27 F33 T42: three candidates, each with an answer of its own; the books are checked, too."""
    scripts: list[list[Step]] = [
        [REQUEST, answer] for answer in drawn(STREAMS if is_stream else PLAINS, 150)
    ]
    async with router_on(start, *scripts) as (router, chaos):
        with longest_callback() as longest:
            while len(chaos.connections) < len(scripts):
                longest.forget()
                reply = await chat(router.url, stream=is_stream)
                assert longest.ms < BLOCKED_MS, (longest.ms, longest.what)
                assert reply.status != 500, reply.body
                if not is_stream:
                    assert reply.is_whole
                if reply.status != 200 and reply.status < 600:
                    assert reply.error["type"]
                router.app[keys.BREAKERS].reset("all")
        assert {row["outcome"] for row in await router.rows()} <= {
            *("completed", "failed", "truncated")
        }


@pytest.mark.parametrize("read", [duration_s, moment_s])
def test_no_retry_after_upsets_it(read: Any) -> None:
    """F09"""
    forms = shapes.values | st.datetimes().map(str) | st.text("0123456789.-+eE: GMTZ,", max_size=40)
    for value in drawn(forms, 300):
        seconds = read(value, 1_770_000_000.0)
        assert seconds is None or 1 <= seconds <= 3600, value


PRICES = shapes.objects(
    prompt=st.sampled_from(["0.000001", "-1", "1e400", "NaN", "0", "x" * 100]),
    completion=shapes.texts,
    request=shapes.numbers,
)
ENTRIES = shapes.objects(
    id=st.sampled_from(["a/b", "a/b:free", "z-ai/glm-5", "", "a" * 2000]),
    canonical_slug=shapes.texts,
    context_length=shapes.numbers,
    pricing=PRICES,
    architecture=shapes.objects(input_modalities=st.lists(shapes.texts, max_size=2)),
    supported_parameters=st.lists(st.sampled_from(["tools", "structured_outputs"]), max_size=2),
    top_provider=shapes.objects(max_completion_tokens=shapes.numbers),
)
LISTS = shapes.objects(data=st.lists(ENTRIES, max_size=4)) | shapes.values
# As many as OpenRouter has, about twice.
LONG_LIST = {
    "data": [
        {
            "id": f"vendor/model-{number}",
            "canonical_slug": f"vendor/model-{number}-20260101",
            "name": f"Vendor: Model {number}",
            "description": "A language model. " * 40,
            "context_length": 131072,
            "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
            "pricing": {"prompt": "0.0000006", "completion": "0.0000022", "request": "0"},
            "top_provider": {"context_length": 131072, "max_completion_tokens": 16384},
            "supported_parameters": ["tools", "tool_choice", "structured_outputs", "temperature"],
        }
        for number in range(800)
    ]
}


async def test_no_model_list_upsets_it(tmp_path: Path) -> None:
    """F46: what could be read of it is stored, and read again as it was; nobody waits for it."""
    lists = [LONG_LIST, *drawn(LISTS.map(received), 60)]

    class Client:
        async def get_json(self, *_: object, **__: object) -> tuple[int, Any]:
            return 200, lists[0]

    async with open_database(tmp_path / "router.db") as database:
        holder, config = CatalogHolder(), ConfigHolder(default_config())
        models = ModelList(
            Client(), holder, ModelStorage(database), config, Clock(), refresh_s=3600
        )
        with longest_callback() as longest:
            while lists:
                is_taken = await spawn(models.refresh(), name="refresh")
                assert longest.ms < BLOCKED_MS, (longest.ms, longest.what, lists[0])
                stored: Catalog = await load_catalog(database)
                assert not is_taken or stored.models == holder.current.models, lists[0]
                lists.pop(0)
                longest.forget()


GENERATIONS = shapes.objects(
    data=shapes.objects(
        total_cost=shapes.numbers,
        native_tokens_prompt=shapes.numbers,
        native_tokens_completion=shapes.numbers,
        provider_name=shapes.texts,
        model=shapes.texts,
    )
)


async def test_no_generation_upsets_it(tmp_path: Path) -> None:
    """F38 T42: a cost that makes no sense stays unknown, and is asked for again."""
    statuses = st.sampled_from([200, 404, 401, 500, 0])
    answers = drawn(st.tuples(statuses, GENERATIONS.map(received)), 60)

    async def fetch(_: str) -> tuple[int, Any]:
        return answers.pop() if answers else (404, None)

    clock = Clock()
    async with open_database(tmp_path / "router.db") as database:
        ledger = SqliteLedger(database)
        fold = Fold(0)
        for number in range(len(answers)):
            id = f"a{number}"
            finished = attempt_finished(id, cost=None, source="unknown", generation_id=f"g-{id}")
            fold.add([attempt_started(id), finished], "p1")
        await ledger.apply(fold.batch)
        reconciler = Reconciler(ledger, fetch, clock)
        with longest_callback() as longest:
            while answers:
                clock.pass_s(3600)
                await spawn(reconciler.run_due(), name="reconcile")
        assert longest.ms < BLOCKED_MS, (longest.ms, longest.what)
        for row in await database.read("SELECT cost_nanousd, cost_source FROM attempts"):
            assert (row["cost_nanousd"] is None) == (row["cost_source"] == "unknown")
            assert row["cost_nanousd"] is None or row["cost_nanousd"] >= 0
