"""What was asked and answered, in words, where the operator has `[ledger] store_text` on."""

from collections.abc import Mapping
from typing import Any

import msgspec

from llm_router.ledger.entry import TextKept
from llm_router.proxy.body import ChatBody
from llm_router.proxy.outlet import Outlet
from llm_router.proxy.relay import ClientStream
from llm_router.settings import Settings

# Of a longer text, its beginning and its end: two of these and their frame fit into the journal.
MAX_TEXT_BYTES = 256 * 1024
# A stream's events take up to a hundred times as much room as the words in them.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
_GAP = " … "


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int = 0
    function: _Function | None = None


class _Said(msgspec.Struct):
    content: Any = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []


_answer = msgspec.json.Decoder(_Answer)


class KeptStream(ClientStream):
    """Remembers what it has written, up to a bound."""

    def __init__(self, outlet: Outlet, settings: Settings) -> None:
        super().__init__(outlet, settings)
        self._written = bytearray()

    async def whole(self, headers: Mapping[str, str], body: bytes) -> None:
        self._keep(body)
        await super().whole(headers, body)

    def write_now(self, data: bytes) -> bool:
        self._keep(data)
        return super().write_now(data)

    def kept(self, request_id: str, at: float, body: ChatBody) -> TextKept:
        """Return the entry: the messages as the client wrote them, and the answer's words."""
        answer = bytes(self._written)
        words = _words(_events(answer) if body.is_stream else [answer])
        return TextKept(request_id, at, _clipped(body.messages), _clipped(words.encode()))

    def _keep(self, data: bytes) -> None:
        self._written += data[: max(0, MAX_ANSWER_BYTES - len(self._written))]


def _events(stream: bytes) -> list[bytes]:
    lines = stream.splitlines()
    return [line.removeprefix(b"data:") for line in lines if line.startswith(b"data:")]


def _words(documents: list[bytes]) -> str:
    """Join what the first choice says, tool calls as `name(arguments)` lines behind it."""
    words: list[str] = []
    calls: dict[int, str] = {}
    for document in documents:
        try:
            choices = _answer.decode(document).choices
        except (msgspec.DecodeError, RecursionError):
            continue
        for choice in choices:
            said = choice.delta or choice.message
            if choice.index or said is None:
                continue
            if isinstance(said.content, str):
                words.append(said.content)
            for position, call in enumerate(said.tool_calls or ()):
                _add(calls, call.index if choice.delta else position, call.function)
    return "\n".join(["".join(words), *(call + ")" for call in calls.values())]).strip("\n")


def _add(calls: dict[int, str], index: int, function: _Function | None) -> None:
    if function is not None:
        begun = calls.get(index)
        name = f"{function.name or ''}(" if begun is None else begun
        calls[index] = name + (function.arguments or "")


def _clipped(text: bytes) -> str:
    if len(text) > MAX_TEXT_BYTES:
        half = MAX_TEXT_BYTES // 2
        return _clipped(text[:half]) + _GAP + _clipped(text[-half:])
    return text.decode(errors="replace")
