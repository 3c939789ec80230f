"""What clients heard is what upstream said, up to where it broke off, and nothing else."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from llm_router.demo import content
from llm_router.demo.script import Call
from reliability.wire import Answer

_WORDS = re.compile(r"chunks=(\d+)")


def misquotes(answer: Answer, calls: Sequence[Call]) -> Iterator[str]:
    """Compare an answer's words with those that upstream had for one of a request's calls."""
    heard = _heard(answer)
    meant = [_meant(call) for call in calls]
    if heard and not any(text.startswith(heard) for text in meant):
        yield f"the client heard {heard[-40:]!r}, which upstream did not say"
    elif answer.is_good and heard not in meant:
        yield "the client took an answer for whole of which words are missing"


def _heard(answer: Answer) -> str:
    """Return the text of what came, of a stream as far as its last whole event."""
    if answer.status != 200:
        return ""
    if answer.headers.get("content-type") == "text/event-stream":
        events = (
            event for event in answer.body.split(b"\n\n")[:-1] if event.startswith(b"data: {")
        )
        return "".join(_said(json.loads(event[6:]), "delta") for event in events)
    return _said(json.loads(answer.body), "message") if answer.is_whole else ""


def _said(body: Any, where: str) -> str:
    return "".join(choice[where].get("content") or "" for choice in body.get("choices", ()))


def _meant(call: Call) -> str:
    """Return what the scripted upstream answers where nothing goes wrong."""
    prompt = call.json()["messages"][-1]["content"]
    if words := _WORDS.search(prompt):
        return "".join(content.load(int(words[1])))
    return content.reply(str(call.model), prompt)
