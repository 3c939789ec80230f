"""Run the embedded upstream alone: a scripted OpenRouter and Ollama on one port.

Its answers depend on the request alone and say that they are a demo. A prompt may tell it to
misbehave: [[demo fail=z-ai/glm-5:503]], [[demo drop=5]], [[demo stall=headers]]; an unknown word
is answered with the list of those there are. `chunks=100 gap=20` in a prompt makes a long stream.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable

from llm_router.cli.arguments import whole
from llm_router.demo.upstream import DemoUpstream, serve
from llm_router.errors import RouterError
from llm_router.listening import reason


def configure(parser: argparse.ArgumentParser) -> None:
    # uvloop would take a larger number modulo 65536.
    parser.add_argument(
        "--port", type=whole(0, 65_535), required=True, help="TCP port; 0 takes any free one"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: 127.0.0.1)")
    parser.add_argument(
        "--gap",
        type=whole(0, 3_600_000),
        default=0,
        metavar="MS",
        help="milliseconds between the chunks of a stream (default: 0)",
    )
    parser.add_argument(
        "--gone",
        action="append",
        default=[],
        metavar="ID",
        help="do not list this model and answer 404 for it; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    try:
        # A hundred calls are enough to look at; a benchmark must not fill the memory.
        demo = DemoUpstream(gone=args.gone, gap_ms=args.gap, keep=100)
        with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
            runner.run(_serve(demo, args.host, args.port))
    except OSError as exc:
        raise RouterError(f"cannot listen on {args.host}:{args.port}: {reason(exc)}") from exc
    except KeyboardInterrupt:
        # Ctrl-C where the loop takes no signal handlers.
        return 0
    return 0


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(demo: DemoUpstream, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with serve(demo, host=host, port=port):
        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop.set)
        sys.stdout.write(f"demo upstream: OpenRouter at {demo.url}, Ollama at {demo.ollama_url}\n")
        sys.stdout.flush()
        await stop.wait()
