"""A process that the supervisor has started, and the line to it."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from llm_router.errors import RouterError
from llm_router.tasks import spawn
from llm_router.workers.control import Failed, Line, Message, Orders, Ready, open_line

# One that neither serves nor ends has something wrong with it. Migrations take what they take.
_START_S = {"worker": 60.0, "ledger": None}


@dataclass(eq=False)
class Process:
    """Made by `start`, and then ready."""

    pid: int
    began: float
    end: asyncio.Task[int]
    _process: asyncio.subprocess.Process
    _line: Line

    def say(self, message: Message) -> None:
        self._line.say(message)

    async def ended(self) -> str:
        """Wait for its end, and say how that came about."""
        # Others may wait as well, and none of them takes the others' waiting away.
        status = await asyncio.shield(self.end)
        return f"signal {-status}" if status < 0 else f"status {status}"

    async def end_within(self, seconds: float) -> None:
        """Wait for its end, and bring it about if it takes longer."""
        try:
            async with asyncio.timeout(seconds):
                await self.ended()
        except TimeoutError:
            self.kill()
            await self.ended()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


async def start(orders: Orders, turn: Callable[[], Awaitable[object]] | None = None) -> Process:
    """Start a process and wait until it is ready. RouterError says why it is not.

    It hears its orders when `turn()` returns. Importing, which is most of a start, takes none.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            # What lies in the working directory is no part of the program, nor, where the parent
            # was told so, what the environment or a user's own packages bring.
            *(sys.executable, "-I" if sys.flags.isolated else "-P"),
            *("-m", "llm_router.workers", orders.role),
            str(theirs.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *orders.inherited],
            start_new_session=True,  # Ctrl-C goes to the supervisor alone
        )
    line = await open_line(ours)
    began = asyncio.get_running_loop().time()
    end = spawn(process.wait(), name=f"wait-{process.pid}")
    end.add_done_callback(lambda _: line.close())
    child = Process(process.pid, began, end, process, line)
    limit_s = _START_S[orders.role]
    try:
        if turn is not None:
            await turn()
        line.say(orders)
        async with asyncio.timeout(limit_s):
            answer = await line.hear()
    except TimeoutError:
        answer = Failed(f"a {orders.role} is not ready after {limit_s:g} s; what it logs says more")
    except BaseException:
        child.kill()
        await child.ended()
        raise
    if isinstance(answer, Ready):
        return child
    child.kill()
    how = await child.ended()
    if isinstance(answer, Failed):
        raise RouterError(answer.message)
    raise RouterError(f"a {orders.role} process ended with {how} before it was ready")
