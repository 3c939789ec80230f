"""How sure a language model was of the label it wrote, from the log-probabilities of its tokens.

Ollama (since 0.12.11, `logprobs` beside `message`) and OpenRouter (`choices[0].logprobs.content`)
list them alike: each token with its `logprob` and, in `top_logprobs`, what else could have stood
there. Whether they were taken before or after the schema forbade most tokens is not documented, so
only tokens that lead to a label count, and their shares make the confidence.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

ALTERNATIVES = 5  # asked for per token; the labels' first tokens are mostly among them

_MOST_TOKENS = 64  # an answer is a short object; whatever is longer is not ours to add up
_OPENING = " \t\r\n\"'`:{"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


def confidence_in(
    tokens: object, label: str, labels: Sequence[str]
) -> tuple[float, tuple[tuple[str, float], ...]] | None:
    """Return the label's probability among `labels`, and the others' that had any, best first.

    None when the provider sent no log-probabilities, or none that fit the answer.
    """
    listed = _read(tokens)
    written = "".join(text for text, _ in listed)
    starts_at = written.rfind(label)
    if starts_at < 0:
        return None
    confidence, others = 1.0, dict.fromkeys(labels, 0.0)
    is_weighed = False
    at = 0
    for text, alternatives in listed:
        begins_at, at = at, at + len(text)
        # The token behind the label counts too: `code` could have gone on as `code-review`.
        if at <= starts_at or begins_at > starts_at + len(label):
            continue
        before = written[starts_at:begins_at]
        shares = _shares(before, alternatives, labels, label)
        if shares is None:
            continue
        is_weighed = True
        for name, share in shares.items():
            if name != label:
                others[name] += confidence * share
        confidence *= shares[label]
    if not is_weighed:
        return None
    ranked = sorted(((round(p, 3), name) for name, p in others.items()), reverse=True)
    return round(confidence, 3), tuple((name, p) for p, name in ranked if p > 0)


def _shares(
    before: str, alternatives: Mapping[str, float], labels: Sequence[str], label: str
) -> dict[str, float] | None:
    """Return how one place's probability is divided among the labels that can follow."""
    shares = dict.fromkeys(labels, 0.0)
    for token, p in alternatives.items():
        piece = before + token if before else token.lstrip(_OPENING)
        fitting = [name for name in labels if piece and _leads_to(piece, name)]
        # What fits the label that was written says nothing against it here; a later token will.
        for name in [label] if label in fitting else fitting:
            shares[name] += p / (1 if label in fitting else len(fitting))
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()} if total else None


def _leads_to(piece: str, name: str) -> bool:
    if len(piece) <= len(name):
        return name.startswith(piece)
    return piece.startswith(name) and piece[len(name)] not in _NAME


def _read(tokens: object) -> list[tuple[str, dict[str, float]]]:
    """Return each token with the probabilities of what could have stood in its place."""
    if not isinstance(tokens, list) or len(tokens) > _MOST_TOKENS:
        return []
    listed = []
    for entry in tokens:
        if not isinstance(entry, Mapping) or not isinstance(token := entry.get("token"), str):
            return []
        top = entry.get("top_logprobs")
        others = top[:32] if isinstance(top, list) else []
        listed.append((token.lower(), dict(_probabilities([*others, entry]))))
    return listed


def _probabilities(entries: Sequence[object]) -> Iterator[tuple[str, float]]:
    for entry in entries:
        if isinstance(entry, Mapping):
            token, logprob = entry.get("token"), entry.get("logprob")
            # Sums of rounded numbers may come out a little above 0.
            if isinstance(token, str) and isinstance(logprob, int | float) and -1e3 < logprob < 0.1:
                yield token.lower(), math.exp(min(logprob, 0.0))
