"""A load generator that believes nothing: each answer is compared with what the upstream sent.

    python -m benchmarks.load URL --conns 200 --stream --gap 20 --pid PID

A closed loop: every connection sends its next request when its last answer is complete. After a
warm-up it counts for `--seconds` and prints one JSON line. With `--pid` that says what a process
and its children spent meanwhile. All answers are checked, those of the warm-up too.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import cast, get_args
from urllib.parse import urlsplit

import msgspec

from benchmarks import answers, proc
from benchmarks.prompts import Kind, Shape, requests
from benchmarks.response import Response
from benchmarks.result import Result, median_and_p99
from benchmarks.rewritten import Rewritten
from llm_router.loop import run
from llm_router.tasks import launch

_GOLDEN = 0.618  # its multiples spread evenly, however many there are
_PATIENCE_S = 15.0


class Load:
    def __init__(
        self, url: str, shape: Shape, conns: int, pid: int | None, *, is_rewritten: bool = False
    ) -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "127.0.0.1", place.port or 80
        self._requests = requests(place.netloc, place.path, shape)
        self._shape = shape
        self._conns = conns
        self._pid = pid
        self._open = 0
        self._finished = asyncio.Event()
        self._expected = answers.stream(shape.chunks) if shape.is_stream else answers.PLAIN
        self._response = Rewritten if is_rewritten else Response
        self.is_counting = False
        self.is_ending = False
        self.answered = self.chunks = self.bad = 0
        self.first_ms: list[float] = []
        self.total_ms: list[float] = []
        self.classifiers: Counter[str] = Counter()

    async def run(self, warm_s: float, counted_s: float) -> Result:
        loop = asyncio.get_running_loop()
        for delay_s in self._delays():
            self._open += 1
            loop.call_later(delay_s, self._connect)
        await asyncio.sleep(warm_s)
        began, cpu_before = perf_counter(), self._cpu_s()
        self.is_counting = True
        await asyncio.sleep(counted_s)
        self.is_counting = False
        seconds = perf_counter() - began
        spent = {pid: cpu - cpu_before.get(pid, 0.0) for pid, cpu in self._cpu_s().items()}
        memory_mb = proc.memory_mb(self._pid) if self._pid else None
        self.is_ending = True
        try:
            await asyncio.wait_for(self._finished.wait(), _PATIENCE_S)
        except TimeoutError:
            self.bad += self._open
        return Result(
            requests=len(self.total_ms),
            chunks=self.chunks,
            seconds=seconds,
            bad=self.bad,
            first_ms=median_and_p99(self.first_ms),
            total_ms=median_and_p99(self.total_ms),
            classifiers=dict(self.classifiers),
            cpu_s=sum(spent.values()) if spent else None,
            busiest_s=max(spent.values()) if spent else None,
            memory_mb=memory_mb,
            answered=self.answered,
        )

    def next(self) -> tuple[bytes, Response]:
        """Return a request, and what takes its answer."""
        return next(self._requests), self._response(self._expected)

    def _delays(self) -> list[float]:
        """Return when each connection begins: streams are out of step with each other."""
        gap_s = self._shape.gap_ms / 1000 if self._shape.is_stream else 0.0
        step_s = gap_s * self._shape.chunks / self._conns
        return [step_s * n + gap_s * (n * _GOLDEN % 1) for n in range(self._conns)]

    def _cpu_s(self) -> dict[int, float]:
        return proc.cpu_s(self._pid) if self._pid else {}

    def _connect(self) -> None:
        launch(self._open_connection(), name="connect")

    async def _open_connection(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: Connection(self), self._host, self._port)
        except OSError:
            self.closed(is_broken=True)

    def closed(self, *, is_broken: bool) -> None:
        self.bad += is_broken
        if is_broken and not self.is_ending:
            asyncio.get_running_loop().call_later(0.05, self._connect)
            return
        self._open -= 1
        if not self._open:
            self._finished.set()


class Connection(asyncio.Protocol):
    """One client that asks again and again."""

    _transport: asyncio.Transport
    _response: Response
    _asked: float
    _first: float | None

    def __init__(self, load: Load) -> None:
        self._load = load
        self._is_leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        if self._load.is_ending:
            self._is_leaving = True
            self._transport.close()
            return
        ask, self._response = self._load.next()
        self._first = None
        self._asked = perf_counter()
        self._transport.write(ask)

    def data_received(self, data: bytes) -> None:
        load, response = self._load, self._response
        body = response.feed(data)
        if body and self._first is None:
            self._first = perf_counter()
        if load.is_counting:
            load.chunks += body.count(answers.MARK)
        if response.is_done:
            self._settle(perf_counter())
            self._ask()

    def _settle(self, now: float) -> None:
        load = self._load
        load.answered += 1
        load.bad += not self._response.is_whole
        if load.is_counting:
            load.classifiers[self._response.classifier] += 1
            load.first_ms.append(((self._first or now) - self._asked) * 1000)
            load.total_ms.append((now - self._asked) * 1000)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.closed(is_broken=not self._is_leaving)


def command(url: str, shape: Shape, conns: int, warm_s: float, seconds: float) -> list[str]:
    """Return the command that orders this load."""
    return [
        *(sys.executable, "-m", "benchmarks.load", url),
        *(f"--conns={conns}", f"--warm={warm_s}", f"--seconds={seconds}"),
        *(f"--chunks={shape.chunks}", f"--gap={shape.gap_ms}", f"--body-kb={shape.body_kb}"),
        *(f"--prompts={shape.prompts}", *(["--stream"] if shape.is_stream else [])),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("url", help="where to post, http:// only")
    parser.add_argument("--conns", type=int, default=32, help="connections (default: 32)")
    parser.add_argument("--warm", type=float, default=1, help="seconds before it counts")
    parser.add_argument("--seconds", type=float, default=5, help="seconds for which it counts")
    parser.add_argument("--stream", action="store_true", help="ask for streams")
    parser.add_argument("--chunks", type=int, default=100, help="of a stream (default: 100)")
    parser.add_argument("--gap", type=int, default=0, help="milliseconds between chunks")
    parser.add_argument("--body-kb", type=int, default=0, help="of earlier messages in each body")
    parser.add_argument("--prompts", choices=get_args(Kind), default="clear")
    parser.add_argument("--pid", type=int, help="the process whose cost is asked for")
    parser.add_argument("--rewritten", action="store_true", help="compare the text, not bytes")
    args = parser.parse_args(argv)
    shape = Shape(args.stream, args.chunks, args.gap, args.body_kb, args.prompts)
    load = Load(args.url, shape, args.conns, args.pid, is_rewritten=args.rewritten)
    sys.stdout.buffer.write(msgspec.json.encode(run(load.run(args.warm, args.seconds))) + b"\n")


if __name__ == "__main__":
    main()
