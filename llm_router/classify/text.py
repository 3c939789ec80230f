"""What the human asked, peeled out of a request's `messages`.

Agent clients wrap it: tool results follow it, internal notes in the user's role follow those, time
stamps and runtime lines surround it. Everything here reads for the classifier only, so it may be
lossy (clipped, repaired), and apart from a duplicated key in a message that we read nothing makes
it raise.
"""

import re
from collections.abc import Mapping
from itertools import islice

import msgspec

from llm_router.classify.base import Prompt
from llm_router.classify.recent import elements, latest_first
from llm_router.errors import InvalidRequest
from llm_router.members import DuplicateMember, MalformedJson, values

HEAD_CHARS = 2800
TAIL_CHARS = 1200
CONTEXT_CHARS = 600
_MAX_WALK = 5000  # messages looked at, from the end
_MAX_PARTS = 500  # of one message's content, from either end
_LONG_BYTES = 256 * 1024  # from here on a JSON string is clipped before it is decoded

_SHORT_BYTES = 4096  # up to here it is worth while to try and read all messages at once

_USER = b'"user"'
_ASSISTANT = b'"assistant"'
_TEXT_PARTS = (b'"text"', b'"input_text"')

_list = msgspec.json.Decoder(list[msgspec.Raw])
_string = msgspec.json.Decoder(str)

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}

# OpenClaw 2026.9: a stamp before the text, one runtime line after it, and internal context in
# messages of the user's role.
_INTERNAL_BEGIN = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>"
_INTERNAL_END = "<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"
_STAMP = re.compile(r"\[[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d[^\]\n]{0,40}\][ \n]?")
_QUEUED = re.compile(r"\[Queued user message from a previous active turn;[^\]\n]{0,400}\]")
_RUNTIME = "\nRuntime: agent="

# Open WebUI asks for titles, tags, follow-ups and search queries with prompts of this form, and
# for the answer over documents as well: that one is the human's.
_TASK = "### Task:"
_TASK_ANSWER = "Respond to the user query"
_QUERY = re.compile(r"<user_query>([^<]{1,6000})</user_query>")
# opencode sends this as a user message of its own, then the conversation.
_TITLE = "Generate a title for this conversation"


class _Said(msgspec.Struct, gc=False):
    role: str
    content: str


_said_in = msgspec.json.Decoder(list[_Said]).decode


def peel(messages: bytes, *, has_tools: bool = False) -> Prompt:
    """Return what the human's last message says, reading the JSON array from its end.

    Raises InvalidRequest when a message that is read has a key twice.
    """
    if len(messages) <= _SHORT_BYTES and (plain := _plain(messages)) is not None:
        return _peel_plain(plain, has_tools)
    text: str | None = None
    has_history = is_step = False
    for place, raw in enumerate(islice(latest_first(messages), _MAX_WALK)):
        # Quotes inside a string are escaped, so text that merely says "user" is not found.
        if raw.find(_ASSISTANT) >= 0:
            if text is None:
                is_step = True
            else:
                has_history = True
        if raw.find(_USER) < 0:
            continue
        try:
            said = _said(raw)
        except DuplicateMember as exc:
            where = f"messages[{len(_list.decode(messages)) - 1 - place}]"
            raise InvalidRequest(f"{where} is ambiguous: {exc}.", param=where) from None
        if said is not None:
            if text is not None:
                return _prompt(text, said[:CONTEXT_CHARS], has_history, has_tools, is_step)
            text = said
    return _prompt(text or "", "", has_history, has_tools, is_step)


def _plain(messages: bytes) -> list[_Said] | None:
    """Return messages that are a role and a text each; None where any may hold more than these.

    Two keys and two values are eight quotes. If all messages together have no more than that, no
    key stands in one of them twice.
    """
    quotes = messages.count(b'"')
    # `find` takes a quarter of what `in` takes with bytes.
    if messages.find(b"\\") >= 0:
        if messages.find(b"\\\\") >= 0:
            return None  # a backslash before a quote may itself be escaped
        quotes -= messages.count(b'\\"')
    if quotes % 8:
        return None
    try:
        said = _said_in(messages)
    except msgspec.DecodeError:
        return None
    return said if quotes == 8 * len(said) else None


def _peel_plain(messages: list[_Said], has_tools: bool) -> Prompt:
    text: str | None = None
    has_history = is_step = False
    for message in reversed(messages):
        if message.role == "assistant":
            if text is None:
                is_step = True
            else:
                has_history = True
        elif message.role == "user" and (said := _unwrap(message.content)) is not None:
            if text is not None:
                return _prompt(text, said[:CONTEXT_CHARS], has_history, has_tools, is_step)
            text = said
    return _prompt(text or "", "", has_history, has_tools, is_step)


def clip(text: str) -> str:
    """Return head and tail of a long text: what is asked stands at one of its ends.

    What stands between them is ASCII, like most long texts: those are judged much faster.
    """
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return text
    return f"{text[:HEAD_CHARS]}\n...\n{text[-TAIL_CHARS:]}"


def _prompt(text: str, context: str, has_history: bool, has_tools: bool, is_step: bool) -> Prompt:
    chore = ""
    if text.startswith(_TASK):
        asked = text[len(_TASK) : len(_TASK) + 200].lstrip()
        if not asked.startswith(_TASK_ANSWER):
            chore = "a chat client's own task (title, tags, follow-ups)"
        elif query := _QUERY.search(text):
            text = query[1].strip()
    elif text.startswith(_TITLE) or context.startswith(_TITLE):
        chore = "an agent client's own task (title)"
    return Prompt(text, has_tools, context, has_history, chore, is_step)


def _said(raw: bytes) -> str | None:
    """Return the human's words in a message; None when a program wrote all of it.

    Raises DuplicateMember.
    """
    message = _fields(raw)
    if _value(message, "role") != _USER:
        return None
    content = _value(message, "content")
    if content[:1] == b'"':
        return _unwrap(_text(content))
    if content[:1] != b"[":
        return None
    texts: list[str] = []
    is_human = False
    parts = elements(content)
    if len(parts) > 2 * _MAX_PARTS:
        parts = parts[:_MAX_PARTS] + parts[-_MAX_PARTS:]
    for element in parts:
        part = _fields(bytes(element))
        kind, text = _value(part, "type"), _value(part, "text")
        if kind in _TEXT_PARTS and text[:1] == b'"':
            if (words := _unwrap(_text(text))) is not None:
                texts.append(words)
        elif kind != b'"tool_result"':
            is_human = True  # an image, audio, a file
    return clip("\n".join(texts)) if texts or is_human else None


def _unwrap(text: str) -> str | None:
    """Take off what agent clients put around the human's words; None when nothing remains."""
    while _INTERNAL_BEGIN in text:
        begin = text.find(_INTERNAL_BEGIN)
        end = text.find(_INTERNAL_END, begin)
        text = text[:begin] + (text[end + len(_INTERNAL_END) :] if end >= 0 else "")
        if not text.strip():
            return None
    text = text.strip()
    while text[:1] == "[" and (match := _QUEUED.match(text) or _STAMP.match(text)):
        text = text[match.end() :].lstrip()
    if _RUNTIME in text:
        body, _, tail = text.rpartition(_RUNTIME)
        if "\n" not in tail:
            text = body.rstrip()
    return clip(text)


def _fields(raw: bytes) -> Mapping[str, msgspec.Raw]:
    """Return an object's fields, none for anything else."""
    try:
        return values(raw)
    except MalformedJson:
        return {}


def _value(fields: Mapping[str, msgspec.Raw], key: str) -> bytes:
    return bytes(fields[key]) if key in fields else b""


def _text(encoded: bytes) -> str:
    """Return a JSON string's value; of a very long one only its clipped ends."""
    if len(encoded) <= _LONG_BYTES:
        return _string.decode(encoded)
    head = _loose(encoded[1 : 6 * HEAD_CHARS])[:HEAD_CHARS]
    return f"{head}\n...\n{_loose(encoded[-6 * TAIL_CHARS : -1])[-TAIL_CHARS:]}"


def _loose(cut: bytes) -> str:
    """Read part of a JSON string that may begin and end inside a character."""
    text = _ESCAPE.sub(_unescape, cut.decode("utf-8", "ignore"))
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2])
