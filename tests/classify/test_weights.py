import msgspec
import pytest

from llm_router.classify.weights import CATEGORIES, FILE, Learned, Weights, weights
from llm_router.classify.words import groups

LEARNED = Learned(
    sources={"a": "MIT"},
    temperature=2.0,
    bias=(-32, 0, 32),
    features={"form": (64, -64, 0), "why": (0, 320, -320)},
    pairs={"asks + form": (64, 0, 0), "asks + why": (0, 64, -64)},
    words={"tea": (-1, -1, 2), "coffe": (0, 0, 8)},
)


def test_what_was_found_is_added_up_category_by_category() -> None:
    added = Weights(LEARNED)
    assert added.logits([], [], 1) == [-0.5, 0.0, 0.5]
    assert added.logits(["form", "why"], ["tea", "for", "two"], 3) == [
        (-32 + 64 - 1) / 64,
        (-64 + 320 - 1) / 64,
        (32 - 320 + 2) / 64,
    ]


def test_a_word_counts_once_and_what_was_not_learned_not_at_all() -> None:
    added = Weights(LEARNED)
    assert added.logits(["?"], ["tea", "tea"], 2) == added.logits([], ["tea"], 1)
    assert added.knows(["hot", "tea"])
    assert not added.knows(["coffee"])


def test_two_features_together_count_for_more_than_each() -> None:
    added = Weights(LEARNED)
    assert added.logits(["why", "asks"], [], 1) == [-0.5, 6.0, -5.5]
    assert added.logits(["asks"], [], 1) == added.logits([], [], 1)


def test_features_that_come_together_count_like_each_of_them() -> None:
    added = Weights(LEARNED)
    apart = added.logits(["why", "?", "form", "asks"], [], 1)
    assert added.logits(["why + ?", "form + asks"], [], 1) == apart
    assert added.logits(["why + ? + form + asks"], [], 1) == apart


def test_the_beginning_of_a_longer_word_counts_too() -> None:
    added = Weights(LEARNED)
    assert added.logits([], ["coffees"], 1) == [-0.5, 0.0, 0.5 + 8 / 64]
    assert not added.knows(["coffees"])


def test_what_a_long_text_shows_counts_for_less() -> None:
    added = Weights(LEARNED)
    assert added.logits(["why"], [], 40) == [-0.5, 5.0, -4.5]
    assert added.logits(["why"], [], 50) == pytest.approx([-0.5, 5 * 0.8**0.5, 0.5 - 5 * 0.8**0.5])
    assert added.logits(["why"], [], 160) == [-0.5, 5 / 2, 0.5 - 5 / 2]


@pytest.mark.parametrize("times", [1, 100])
def test_sums_of_one_category_do_not_reach_into_the_next(times: int) -> None:
    words = {f"w{n}": (-4000, 4000, -1) for n in range(times)}
    many = Weights(msgspec.structs.replace(LEARNED, words=words, temperature=1.0, bias=(0, 0, 0)))
    assert many.logits([], list(words), 1) == [-4000 / 32 * times, 4000 / 32 * times, -times / 32]


def test_the_shipped_weights_are_small_and_say_where_they_come_from() -> None:
    learned = weights().learned
    assert FILE.stat().st_size < 1_000_000
    assert len(learned.sources) >= 12
    assert all(learned.sources.values())
    assert 0.5 < learned.temperature < 3


def test_all_the_shipped_weights_together_fit_in_their_place() -> None:
    """Sums of a category beyond half a million units would reach into the next."""
    learned = weights().learned
    tables = (learned.features, learned.pairs, learned.words)
    for place in range(len(CATEGORIES)):
        assert sum(abs(by[place]) for table in tables for by in table.values()) < 2**19


def test_the_shipped_weights_know_every_group_of_the_vocabulary() -> None:
    """A group that was renamed or added asks for `make train`."""
    learned = weights().learned.features
    assert {group.name for group in groups()} <= learned.keys()
    assert all(group.category in CATEGORIES for group in groups())
