"""What every judge does first: read the prompt, and decide where nothing needs to be weighed."""

from msgspec import Struct

from llm_router.classify.base import By, Decision, Prompt
from llm_router.classify.own import Own
from llm_router.classify.text import clip
from llm_router.classify.vocabulary import Hits, composed, tokens


class Reading(Struct, frozen=True, gc=False):
    """A text that is not empty, clipped; `wanted` are the keywords of users that it has."""

    text: str
    lower: str
    words: list[str]
    wanted: Hits


def read(prompt: Prompt, own: Own, by: By) -> Reading | Decision:
    """Return what there is to weigh, or the decision of a chore, no text or a user's keyword."""
    if prompt.chore:
        return Decision(own.fallback, by, 1.0, prompt.chore)
    text = clip(prompt.text)
    if not text or text.isspace():
        return Decision(own.fallback, "default", None, "no text")
    if not text.isascii():
        text = composed(text)
    lower = text.lower()
    words = tokens(lower)
    wanted = own.wanted(lower, words)
    if wanted and (decision := own.decided(wanted)):
        return decision
    return Reading(text, lower, words, wanted)
