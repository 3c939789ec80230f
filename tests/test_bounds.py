"""Every container that lives longer than a function, and what bounds it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import llm_router

PACKAGE = Path(llm_router.__file__).parent
APART = {"demo", "cli"}  # what serves no strangers
MAKERS = {
    *("dict", "list", "set", "OrderedDict", "deque", "defaultdict", "bytearray"),
    *("asyncio.Queue", "Queue", "SimpleQueue"),
}

REQUEST = "one request, whose body and headers have bounds"
CONFIGURATION = "the configuration, of at most 200 categories and 1000 aliases"
CONNECTIONS = "the connections there are, and those by the descriptors there may be"
BOUNDS = {
    "classify/api.py:ApiStep._calls": "_MAX_CALLS",
    "classify/cache.py:DecisionCache._kept": "its size",
    "classify/evidence.py:Evidence._found": REQUEST,
    "classify/shadow.py:Shadow._under_way": "a number of prompts; what is beyond it is left out",
    "classify/vocabulary.py:Vocabulary._lengths": CONFIGURATION,
    "classify/vocabulary.py:Vocabulary._parts": CONFIGURATION,
    "classify/vocabulary.py:_Table._known": CONFIGURATION,
    "classify/vocabulary.py:_Table._stems": CONFIGURATION,
    "ledger/fold.py:Fold._answered": "BATCH_BYTES",
    "ledger/fold.py:Fold._sent": "BATCH_BYTES",
    "ledger/fold.py:Fold.misread": "BATCH_BYTES",
    "ledger/journal.py:Journal._backlog": "MAX_BACKLOG_BYTES",
    "ledger/journal.py:Journal._retired": "MAX_SEGMENTS",
    "ledger/tail.py:Tail.offsets": "MAX_SEGMENTS of each process",
    "ledger/tail.py:Tail.unreadable": "MAX_SEGMENTS of each process",
    "link/client.py:Link._waiting": "questions of a process to its neighbour, each with a deadline",
    "link/claims.py:ProbeClaims._held": "the workers there are, and the models that the rows know",
    "link/claims.py:ProbeClaims._unwritten": "a few seconds' claims, one a model that is open",
    "link/server.py:Desk._workers": "the workers there are",
    "logs.py:Sparing._places": "the calls in the code that log",
    "proxy/commit.py:CommitGate._finishes": "_MAX_FINISHES",
    "proxy/commit.py:CommitGate._held": "the gate's limits for one event and for what is held",
    "proxy/classifier_book.py:ClassifierBook._open": REQUEST,
    "proxy/deadline.py:Deadlines._spare": "as many as ran at once: max_in_flight",
    "proxy/exchange.py:Exchange._left_out": REQUEST,
    "proxy/in_flight.py:InFlight._tasks": "max_in_flight",
    "proxy/sessions.py:Sessions._held": "its size",
    "proxy/texts.py:KeptStream._written": "MAX_ANSWER_BYTES",
    "routing/catalog.py:Catalog._by_slug": "OpenRouter's model list, whose answer has a bound",
    "routing/chain.py:Lineups._kept": CONFIGURATION,
    "routing/gate_state.py:GateState.failed": "the failures that open a breaker",
    "storage/ledger.py:SqliteLedger._known": "_MOST_LABELS and a batch",
    "storage/requests.py:Tail._in_flight": "max_in_flight; a command's",
    "storage/tally.py:Totals._attempts": "BATCH_BYTES",
    "storage/tally.py:Totals._hours": "BATCH_BYTES",
    "storage/tally.py:Totals._latencies": "BATCH_BYTES",
    "storage/tally.py:Totals._requests": "BATCH_BYTES",
    "storage/writer.py:Writer._jobs": "one batch, and the admin requests there are",
    "tasks.py:_running": "the tasks there are: a few, and one for each call that is left over",
    "upstream/connection.py:Connection._body": "the pause of a connection whose reader is behind",
    "upstream/models.py:ModelList._doubted": "OpenRouter's model list, whose answer has a bound",
    "upstream/pool.py:Pool._idle": "as many as were in use at once; a minute later they are closed",
    "upstream/sse.py:EventSplitter.rest": "the limit of one event",
    "web/answers.py:Answers._kept": "MAX_KEPT",
    "web/guesses.py:Guesses._addresses": "MAX_ADDRESSES",
    "web/head.py:_Reader.headers": "LIMIT_BYTES",
    "web/lane_request.py:LaneRequest._body": "max_body_mb",
    "web/lane_request.py:LaneRequest.headers": "LIMIT_BYTES",
    "web/server.py:Server._lanes": CONNECTIONS,
    "web/fair_site.py:FairSite._timers": "the methods of its own that it puts off",
    "workers/slot.py:Slot._running": "two processes: the one that goes and the one that comes",
}


def containers() -> Iterator[str]:
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        if place.partition("/")[0] in APART:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        yield from (f"{place}:{name}" for name in made(tree.body))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                names = made(n for n in ast.walk(node) if isinstance(n, ast.stmt))
                yield from (f"{place}:{node.name}.{n[5:]}" for n in names if n.startswith("self."))


def made(statements: "Iterator[ast.stmt] | list[ast.stmt]") -> Iterator[str]:
    """Yield the names to which new containers are given."""
    for statement in statements:
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            continue
        if is_container(statement.value):
            yield ast.unparse(target)


def is_container(value: ast.expr | None) -> bool:
    match value:
        case ast.Dict(keys=[]) | ast.List(elts=[]):
            return True
        case ast.Call(func=function):
            return ast.unparse(function) in MAKERS
    return False


def test_every_container_is_listed_with_its_bound() -> None:
    """T23: whoever adds one says here what bounds it, and tests it where a stranger fills it."""
    assert set(containers()) == BOUNDS.keys()


def test_every_cache_has_a_size_or_no_arguments_from_outside() -> None:
    """T23"""
    unbounded = {
        f"{file.relative_to(PACKAGE).as_posix()}:{node.name}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(d) in ("cache", "lru_cache(maxsize=None)") for d in node.decorator_list)
        and node.args.args
    }
    assert not unbounded
