"""How right each mode is on the same prompts, none of which the local classifier has seen.

`hybrid` is `local` where that is sure, and elsewhere the demo's scripted Ollama, which knows a few
words: its figures say what asking a poor model costs, not what a good one gains.
"""

from collections.abc import Callable, Iterator, Sequence

from llm_router.classify.base import Prompt
from llm_router.classify.hybrid import CERTAIN
from llm_router.classify.keywords import Keywords
from llm_router.classify.labels import messages_for
from llm_router.classify.weights import CATEGORIES
from llm_router.demo.content import categorise
from llm_router.routing.defaults import default_config
from training.measure import Judged, confusion, heading, row


def by_mode(found: Sequence[Judged], temperature: float) -> Iterator[str]:
    """Yield lines of a table: each mode over all, in English and in French, and its confusion."""
    keywords, config = Keywords(), default_config()

    def local(j: Judged) -> int:
        return j.category

    def by_keywords(j: Judged) -> int:
        return CATEGORIES.index(keywords.judge(Prompt(j.example.line.text), config).category)

    def hybrid(j: Judged) -> int:
        if j.confidence(temperature) >= CERTAIN:
            return j.category
        asked = messages_for(Prompt(j.example.line.text), config, CATEGORIES)[-1]["content"]
        return CATEGORIES.index(categorise(CATEGORIES, asked))

    modes: dict[str, Callable[[Judged], int]] = {
        "keywords": by_keywords,
        "local": local,
        "hybrid, scripted Ollama": hybrid,
    }
    yield heading()
    for name, decide in modes.items():
        pairs = [(j.example.label, decide(j)) for j in found]
        langs = [j.example.line.lang for j in found]
        yield row(name, pairs)
        for lang in ("en", "fr"):
            spoken = [pair for pair, other in zip(pairs, langs, strict=True) if other == lang]
            if spoken:
                yield row(f"{name}, {lang}", spoken)
        yield from confusion(pairs)
