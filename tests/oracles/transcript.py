"""What a client got is what upstream sent, up to the failure; only the failure's words are ours."""

import json

_KEEP_ALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"


def came_from(body: bytes, upstream: bytes) -> bool:
    """Say whether a streamed answer is upstream's bytes from their beginning, and nothing else.

    Left out are our own keep-alive comments in front, an error event of ours at the end, and the
    `[DONE]` that is added where only that was missing.
    """
    while body.startswith(_KEEP_ALIVE):
        body = body.removeprefix(_KEEP_ALIVE)
    if upstream.startswith(body) or upstream + _DONE == body:
        return True
    before, mark, last = body.rpartition(b"data: ")
    return bool(mark) and _is_our_error(last) and upstream.startswith(before)


def _is_our_error(data: bytes) -> bool:
    try:
        event = json.loads(data)
    except ValueError:
        return False
    return isinstance(event, dict) and event.keys() == {"error"} and "type" in event["error"]
