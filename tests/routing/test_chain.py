import json
from collections.abc import Sequence
from typing import Any

import pytest

from llm_router.routing.catalog import Catalog, read_models
from llm_router.routing.chain import GONE, Candidate, Lineup, Lineups, Needs
from llm_router.routing.config import RoutingConfig

CONFIG = RoutingConfig(1, {}, {"glm-5": "z-ai/glm-5", "aurora-alpha": "openrouter/aurora-alpha"})
ANYTHING = Needs(prompt_tokens=10)


def catalog(**model: Any) -> Catalog:
    return Catalog(read_models({"data": [{"id": "z-ai/glm-5", **model}]}))


def build_chain(
    models: Sequence[str],
    config: RoutingConfig,
    listed: Catalog,
    needs: Needs,
    *,
    keep_gone: bool = False,
) -> tuple[Candidate, ...]:
    return Lineup(models, config, listed, keep_gone=keep_gone).chain(needs)


def left_out(needs: Needs, listed: Catalog) -> str | None:
    (candidate,) = build_chain(["glm-5"], CONFIG, listed, needs)
    return candidate.left_out


def test_the_order_is_kept_and_a_model_stands_once() -> None:
    chain = build_chain(
        ["openai/gpt-4o-mini", "glm-5", "z-ai/glm-5", "glm-5"], CONFIG, Catalog(), ANYTHING
    )
    assert chain == (
        Candidate("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        Candidate("glm-5", "z-ai/glm-5"),
    )


def test_a_model_that_is_no_longer_listed_is_left_out() -> None:
    chain = build_chain(["aurora-alpha", "glm-5"], CONFIG, catalog(), ANYTHING)
    assert [candidate.left_out for candidate in chain] == [GONE, None]


def test_a_model_the_client_names_is_tried_whatever_the_list_says() -> None:
    (candidate,) = build_chain(
        ["openrouter/aurora-alpha"], CONFIG, catalog(), ANYTHING, keep_gone=True
    )
    assert candidate.left_out is None


def test_without_a_list_every_model_is_tried() -> None:
    chain = build_chain(["aurora-alpha", "glm-5"], CONFIG, Catalog(), Needs(10**9, tools=True))
    assert [candidate.left_out for candidate in chain] == [None, None]


@pytest.mark.parametrize(
    ("prompt", "answer", "why"),
    [
        (8000, None, None),
        (8001, None, "context: needs about 8001 tokens, takes 8000"),
        (4000, 4000, None),
        (4000, 4001, "context: needs about 8001 tokens, takes 8000"),
    ],
)
def test_prompt_and_answer_must_fit_the_context(
    prompt: int, answer: int | None, why: str | None
) -> None:
    assert left_out(Needs(prompt, answer), catalog(context_length=8000)) == why


def test_characters_that_are_escaped_count_as_what_they_stand_for() -> None:
    """Python's json.dumps escapes whatever is not ASCII: 6 bytes a letter, tripling the text."""
    words = json.dumps([{"role": "user", "content": "привет " * 5000}])
    tokens = len(words) // 6
    assert tokens > 30_000
    needs = Needs(tokens, messages=words.encode())
    assert needs.least_tokens() == pytest.approx(5000 * (6 * 2 + 1) / 6, rel=0.01)
    assert left_out(needs, catalog(context_length=16_000)) is None
    assert left_out(needs, catalog(context_length=8_000))
    assert left_out(Needs(0, messages=words.encode()), catalog(context_length=1)) is None


@pytest.mark.parametrize(
    ("needs", "lacking", "able", "word"),
    [
        (Needs(1, tools=True), ["temperature"], ["tools"], "tools"),
        (
            Needs(1, structured_output=True),
            ["response_format"],
            ["structured_outputs"],
            "structured output",
        ),
    ],
)
def test_what_a_model_cannot_do_leaves_it_out(
    needs: Needs, lacking: list[str], able: list[str], word: str
) -> None:
    assert left_out(needs, catalog(supported_parameters=lacking)) == word
    assert left_out(needs, catalog(supported_parameters=able)) is None
    assert left_out(needs, catalog()) is None
    assert left_out(ANYTHING, catalog(supported_parameters=lacking)) is None


def test_images_need_a_model_that_sees() -> None:
    images = Needs(1, messages=b'[{"content":[{"type":"image_url", "image_url" : {"url":"x"}}]}]')
    text_only = catalog(architecture={"input_modalities": ["text"]})
    seeing = catalog(architecture={"input_modalities": ["text", "image"]})
    assert left_out(images, text_only) == "images"
    assert left_out(images, seeing) is None
    assert left_out(images, catalog()) is None
    named = Needs(1, messages=rb'[{"content":"image_url"},{"content":"\"image_url\":"}]')
    assert left_out(named, text_only) is None
    assert left_out(ANYTHING, text_only) is None


def test_a_variant_can_do_what_its_model_can() -> None:
    listed = catalog(supported_parameters=["temperature"])
    (candidate,) = build_chain(["z-ai/glm-5:nitro"], CONFIG, listed, Needs(1, tools=True))
    assert candidate.left_out == "tools"


def test_a_request_that_asks_too_much_of_one_model_leaves_the_others_in() -> None:
    listed = Catalog(
        read_models(
            {
                "data": [
                    {"id": "a/large", "context_length": 9000},
                    {"id": "b/small", "context_length": 10, "canonical_slug": "b/small"},
                    {"id": "c/open"},
                ]
            }
        )
    )
    lineup = Lineup(["a/large", "b/small", "c/open", "d/gone"], CONFIG, listed)
    assert [c.left_out for c in lineup.chain(Needs(10))] == [None, None, None, GONE]
    small = "context: needs about 11 tokens, takes 10"
    assert [c.left_out for c in lineup.chain(Needs(11))] == [None, small, None, GONE]
    assert lineup.chain(Needs(1)) is lineup.chain(Needs(10)), "made once"


def test_a_lineup_is_kept_until_the_configuration_or_the_list_changes() -> None:
    lineups, listed, config = Lineups(), catalog(), RoutingConfig(2)
    kept = lineups.of(("z-ai/glm-5",), CONFIG, listed)
    assert lineups.of(("z-ai/glm-5",), CONFIG, listed) is kept
    assert lineups.of(("z-ai/glm-5", "a/one"), CONFIG, listed) is not kept
    for newer in (config, listed), (config, Catalog()):
        fresh = lineups.of(("z-ai/glm-5",), *newer)
        assert fresh is not kept
        kept = fresh
    assert lineups.of(("a/one",), config, Catalog()).chain(ANYTHING) == (
        Candidate("a/one", "a/one"),
    )
