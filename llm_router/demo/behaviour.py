"""How the demo upstream treats a call: one frozen description, healthy by default.

Places in an answer are `HEADERS` (before the status line) or a number of chunks with substance
already sent; 0 is after the comments and before the first data event.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

HEADERS = -1

Via = Literal["http", "body", "event"]
Choices = Literal["present", "empty", "none"]
UsageShape = Literal[
    "repeat",  # the finish repeated beside usage, as captured from OpenRouter since 2026
    "empty",  # `choices: []`, as documented
    "blank",  # a choice without a finish, as captured in 2025
    "null",  # like "empty", with `"usage": null` on every other chunk
    "twice",
    "absent",
    "no_cost",
    "negative",
    "huge",
    "text",
]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What to do with the calls of some models. All defaults together are a healthy answer.

    `model` is an id, the part after its slash, several of both with commas, or `*` for every
    OpenRouter model (Ollama's are hit only by name). `times` limits it to that many calls.
    """

    model: str = "*"
    times: int | None = None

    # An error: `status` in OpenRouter's shape as an HTTP answer, a 200 with an error body, or an
    # event of the stream after `after` chunks. `code` replaces the number inside ("none": no code).
    status: int | None = None
    via: Via = "http"
    after: int = 0
    message: str | None = None
    code: str | int | None = None
    error_type: str | None = None
    retry_after: str | int | None = None
    platform: bool = False  # OpenRouter's own limit, with X-RateLimit-* headers
    choices: Choices = "present"
    html: bool = False  # an HTML page, with `status` or 200

    # Where the answer stops. A stall beats (sends comments) every `beat` ms; without `beat` it
    # beats at 0 only and is silent elsewhere. `stall_ms` or `release` ends it.
    stall: int | None = None
    stall_ms: int | None = None
    beat: int | None = None
    release: asyncio.Event | None = None
    drop: int | None = None  # TCP reset
    close: int | None = None  # FIN without the chunked body's end
    end: int | None = None  # a well-formed end of the body, too early

    # What a stream looks like.
    comments: int | None = None
    role: bool = False  # a role-only chunk before the first with substance
    chunks: int | None = None
    gap: int | None = None  # ms between chunks
    no_finish: bool = False
    no_done: bool = False
    usage: UsageShape = "repeat"
    crlf: bool = False
    bytewise: bool = False
    huge: int | None = None  # one content event with this many bytes of text
    json: bool = False  # a JSON body to a stream request
    insert: bytes | None = None  # raw bytes in the stream after `after` chunks

    # What the answer says.
    empty: bool = False  # a finish without a single token
    text: str | None = None
    finish: str | None = None
    served: str | None = None  # the `model` of the answer
    provider: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def applies_to(self, model: str) -> bool:
        return any(
            name in ("*", model) or model.endswith("/" + name) for name in self.model.split(",")
        )

    def names(self, model: str) -> bool:
        """Like `applies_to`, without the wildcard."""
        return self.model != "*" and self.applies_to(model)

    @property
    def is_streamed_error(self) -> bool:
        return self.status is not None and self.via == "event"


HEALTHY = Behaviour()
