import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.classify import recent
from llm_router.classify.recent import elements, latest_first
from tests.fakes.effort import examples

tricky = st.sampled_from(
    ["},{", '},{"role":"user"}', '"},{"', "\\", '\\"},{"a":', "[]", "}]", "é😀", "", "a" * 50]
)
messages = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "tool"]), "content": tricky}),
        st.fixed_dictionaries(
            {"content": st.lists(st.fixed_dictionaries({"type": tricky}), max_size=4)}
        ),
        st.just({}),
        st.integers(),
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    "tails", [(0,), (20,), (80,), (100_000,), (10, 60), (40, 100_000)], ids=str
)
@settings(max_examples=examples(80))
@given(messages, st.sampled_from([None, 1]))
def test_elements_are_the_same_wherever_reading_begins(
    tails: tuple[int, ...], value: list[Any], indent: int | None
) -> None:
    array = json.dumps(value, indent=indent).encode()
    before, recent.TAILS_BYTES = recent.TAILS_BYTES, tails  # type: ignore[assignment]  # other lengths
    try:
        found = [json.loads(element) for element in latest_first(array)]
    finally:
        recent.TAILS_BYTES = before
    assert found == value[::-1]


def test_a_long_history_is_not_read_for_the_last_message() -> None:
    """What stands before the tail may even be no JSON: it is not looked at."""
    history = b'{"role":"user","content":"x"},' * 10_000
    array = b"[ oh" + history + b'{"role":"user","content":"last"}]'
    assert next(latest_first(array)) == b'{"role":"user","content":"last"}'


def test_of_a_crowd_only_the_latest_are_made() -> None:
    """F59 T24: elements of three bytes would take sixty each."""
    crowd = b"[" + b"{}," * 400_000 + b'{"role":"user"}]'
    found = list(latest_first(crowd))
    assert found[0] == b'{"role":"user"}'
    assert len(found) < 20_000
    assert elements(crowd) == []
