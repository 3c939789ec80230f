"""Log-probabilities as Ollama lists them (since 0.12.11): made up, but of the right shape.

A label that the prompt clearly asks for is likely, one that was only left over is a guess.
"""

import math
from collections.abc import Sequence
from typing import Any

from llm_router.demo import content

_CLEAR, _GUESSED = 0.9, 0.4


def logprobs(
    pieces: Sequence[str], labels: Sequence[str], text: str, top: int
) -> list[dict[str, Any]]:
    """Return an entry for each piece; where one of `labels` stands, the others stand beside it."""
    sure = _CLEAR if content.is_clear(labels, text) else _GUESSED
    return [_entry(piece, labels, sure, top) for piece in pieces]


def _entry(piece: str, labels: Sequence[str], sure: float, top: int) -> dict[str, Any]:
    said = next((label for label in labels if f'"{label}"' in piece), None)
    if said is None or len(labels) < 2:
        return {**_token(piece, 1.0), "top_logprobs": [_token(piece, 1.0)][:top]}
    left = (1 - sure) / (len(labels) - 1)
    others = [_token(piece.replace(said, label), left) for label in labels if label != said]
    return {**_token(piece, sure), "top_logprobs": [_token(piece, sure), *others][:top]}


def _token(text: str, p: float) -> dict[str, Any]:
    return {"token": text, "logprob": math.log(p), "bytes": list(text.encode())}
