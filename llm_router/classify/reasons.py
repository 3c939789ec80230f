"""Why the local classifier decided so: what speaks for a category, the loudest first."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from operator import itemgetter

from llm_router.classify.features import AND
from llm_router.classify.vocabulary import Hits
from llm_router.classify.words import groups

# How loud, in which words, or by the words of which group, and which group has said as much.
_Reason = tuple[int, str, int | None, int | None]

_loudness = itemgetter(0)


class Reasons(dict[str, list[_Reason]]):
    """The reasons that each thing shown gives for one category, put together when first shown.

    `speaking` is how loud each feature speaks for it.
    """

    def __init__(self, speaking: dict[str, int]) -> None:
        super().__init__()
        self._speaking = speaking

    def __missing__(self, shown: str) -> list[_Reason]:
        numbers, names = group_numbers(), shown.split(AND)
        found: dict[str, _Reason] = {}
        for name in names:
            # "name, two" and ", three" say no more than the group itself.
            base = name.partition(", ")[0] if ", " in name else ""
            if name in self._speaking and not (base in numbers and base in names):
                said = self._speaking[name]
                # Of "words >= 2" and ">= 3" the one that speaks louder is enough.
                scale = name.partition(" >= ")[0]
                if scale not in found or said > found[scale][0]:
                    found[scale] = said, f"form: {name}", numbers.get(name), numbers.get(base)
        reasons = self[shown] = [*found.values()]
        return reasons

    def of(self, shown: Sequence[str], hits: Hits) -> Iterator[str]:
        """Yield words of groups, and signs of form."""
        found = sorted(
            chain.from_iterable(map(self.__getitem__, shown)), key=_loudness, reverse=True
        )
        for _, form, number, said in found:
            if said not in hits:
                yield form if number is None else repr(hits[number][0])


@cache
def group_numbers() -> dict[str, int]:
    return {group.name: number for number, group in enumerate(groups())}
