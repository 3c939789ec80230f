"""Run the embedded upstream alone: a scripted OpenRouter and Ollama on one port.

Its answers depend on the request alone and say that they are a demo. A prompt may tell it to
misbehave: [[demo fail=z-ai/glm-5:503]], [[demo drop=5]], [[demo stall=headers]]; an unknown word
is answered with the list of those there are. `chunks=100 gap=20` in a prompt makes a long stream.
"""

import argparse
import asyncio
import signal
import sys

from llm_router.cli.arguments import whole
from llm_router.demo.upstream import DemoUpstream, serve
from llm_router.errors import RouterError
from llm_router.listening import reason
from llm_router.loop import on_signals
from llm_router.loop import run as run_loop


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
        run_loop(_serve(demo, args.host, args.port))
    except OSError as exc:
        raise RouterError(f"cannot listen on {args.host}:{args.port}: {reason(exc)}") from exc
    except KeyboardInterrupt:
        return 0  # Ctrl-C where the loop takes no signal handlers
    return 0


async def _serve(demo: DemoUpstream, host: str, port: int) -> None:
    stop = asyncio.Event()
    async with serve(demo, host=host, port=port):
        on_signals(stop.set, signal.SIGINT, signal.SIGTERM)
        sys.stdout.write(f"demo upstream: OpenRouter at {demo.url}, Ollama at {demo.ollama_url}\n")
        sys.stdout.flush()
        await stop.wait()
