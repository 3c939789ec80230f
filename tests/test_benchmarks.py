"""The benchmarks run from a clone, and nothing that is wrong passes for an answer in them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from benchmarks import answers, memory, proc, starts
from benchmarks.contestants import Name
from benchmarks.load import Load
from benchmarks.processes import ROOT
from benchmarks.prompts import Shape, requests
from benchmarks.response import Response
from benchmarks.result import Result
from benchmarks.rounds import Run
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import summarise
from benchmarks.upstream import Upstream

PLAIN = SCENARIOS[0]
HEAD = b"HTTP/1.1 200 OK\r\nx-router-classifier: keywords\r\n"
BODY = answers.stream(2)
FRAMED = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nd\r\n%x\r\n%b\r\n0\r\n\r\n" % (
    len(BODY) - 1,
    BODY[1:],
)


@pytest.mark.skipif(sys.platform == "win32", reason="not for Windows")
def test_one_round_finds_whole_answers_and_prints_a_table(tmp_path: Path) -> None:
    written = tmp_path / "report.json"
    tiny = ("--only=plain", "--rounds=1", "--seconds=0.2", f"--json={written}")
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks", *tiny), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows[0].split("|")[2].strip() == "CPU µs per request"
    assert [row.split()[1] for row in rows[1:3]] == ["pass-through", "keywords"]
    report = msgspec.json.decode(written.read_bytes())
    runs = {run["contestant"]: run["result"] for run in report["runs"]}
    assert all(run["answered"] and not run["bad"] for run in runs.values())
    assert set(runs["keywords"]["classifiers"]) == {"keywords"}


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


class Broken(Upstream):
    """Breaks the connection where the answer should be."""

    def data_received(self, data: bytes) -> None:
        self._transport.close()


class Garbled(Upstream):
    """Answers a plain request whatever it is asked for."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data.replace(b'"stream"', b'"screen"'))


@asynccontextmanager
async def listening(protocol: type[Upstream]) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(protocol, "127.0.0.1", 0) as server:
        yield "http://{}:{}/v1/chat/completions".format(*server.sockets[0].getsockname())


@pytest.mark.parametrize(
    "shape",
    [Shape(), Shape(is_stream=True, chunks=3, gap_ms=1), Shape(is_stream=True), Shape(body_kb=20)],
    ids=["plain", "stream", "stream without gaps", "long"],
)
async def test_what_the_upstream_sends_is_whole(shape: Shape) -> None:
    async with listening(Upstream) as url:
        result = await Load(url, shape, 3, None).run(0, 0.5)
    assert result.answered >= 3
    assert result.bad == 0
    assert bool(result.chunks) is shape.is_stream


@pytest.mark.parametrize("protocol", [Broken, Garbled])
async def test_what_goes_wrong_is_counted(protocol: type[Upstream]) -> None:
    async with listening(protocol) as url:
        result = await Load(url, Shape(is_stream=True), 3, None).run(0, 0.05)
    assert result.bad >= 3
    assert result.bad >= result.answered


@pytest.mark.parametrize("shape", [Shape(), Shape(body_kb=2)], ids=["short", "long"])
def test_no_two_prompts_are_alike(shape: Shape) -> None:
    asked = list(islice(requests("127.0.0.1", "/", shape), 1500))
    assert len(set(asked)) == len(asked)
    for request in asked[:50]:
        head, body = request.split(b"\r\n\r\n")
        assert head.endswith(b"Content-Length: %d" % len(body))


def run(contestant: Name, number: int, cpu_s: float | None, first_ms: float) -> Run:
    result = Result(
        requests=1000,
        chunks=0,
        seconds=2.0,
        bad=0,
        first_ms=(first_ms, 2 * first_ms),
        total_ms=(first_ms, 2 * first_ms),
        classifiers={},
        cpu_s=cpu_s,
    )
    return Run(PLAIN.name, contestant, number, result)


def test_medians_are_compared_and_rounds_show_the_spread() -> None:
    floor = [run("pass-through", n, cpu_s, 1.0) for n, cpu_s in enumerate((0.1, 0.2, 0.3))]
    router = [run("keywords", n, cpu_s, 1.5) for n, cpu_s in enumerate((0.3, 0.3, 0.3))]
    _, summary = summarise(PLAIN, [*floor, *router])
    assert summary.cpu_us == pytest.approx(300)
    assert summary.per_s == 500
    assert summary.ratio is not None
    assert msgspec.structs.astuple(summary.ratio) == pytest.approx((1.5, 1.0, 3.0))
    assert msgspec.structs.astuple(summary.added_p99_ms) == pytest.approx((1.0, 1.0, 1.0))


def test_more_cores_help_as_much_as_the_busiest_process_lets_them() -> None:
    [workers] = [scenario for scenario in SCENARIOS if scenario.cores > 1]
    alone = [run("keywords", 1, 0.3, 1.0)]
    even, uneven = (
        replace(run("2 workers", 1, 0.4, 1.0).result, busiest_s=busiest) for busiest in (0.15, 0.3)
    )
    for result, scaling in ((even, 1.5), (uneven, 1.0)):
        crew = Run(workers.name, "2 workers", 1, result)
        _, summary = summarise(workers, [*alone, crew])
        assert summary.scaling is not None
        assert summary.scaling.of_medians == pytest.approx(scaling)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_starts_and_open_streams_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "_RUNS_A_ROUND", 1)
    monkeypatch.setattr(starts, "_SETTINGS", {"one process": {}})
    assert "| one process |" in starts.run(1, None)
    monkeypatch.setattr(memory, "_STREAMS", (3, 5))
    monkeypatch.setattr(memory, "_SETTLE_S", 0.1)
    rows = [line.split() for line in memory.run(1, None).splitlines() if line.startswith("| ")]
    assert [row[4] for row in rows if "round" in row] == ["3", "5"]
    assert [row for row in rows if "closed" in row]


def test_without_proc_there_is_no_ratio() -> None:
    _, summary = summarise(PLAIN, [run("pass-through", 1, None, 1), run("keywords", 1, None, 1)])
    assert summary.cpu_us is None
    assert summary.ratio is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_tree_is_a_process_and_its_children() -> None:
    command = (sys.executable, "-c", "print(sum(range(3_000_000)), flush=True); input()")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in proc.tree(os.getpid())
        assert sum(proc.cpu_s(child.pid).values()) > 0
        assert (proc.memory_mb(child.pid) or 0) > 0
        child.stdin.close()
    assert proc.tree(child.pid) == []
    assert proc.cpu_s(child.pid) == {}
