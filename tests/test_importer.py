"""Reading a configuration whose format nobody wrote down."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.importer import take
from llm_router.routing.config import Category
from llm_router.routing.defaults import default_config

CHAIN = ("glm-5", "openai/gpt-4o-mini")


@pytest.mark.parametrize(
    "data",
    [
        {"categories": {"poetry": ["glm-5", "openai/gpt-4o-mini"]}},
        {"categories": {"poetry": {"models": ["glm-5", "openai/gpt-4o-mini"]}}},
        {"categories": {"poetry": {"chain": ["glm-5", "openai/gpt-4o-mini"]}}},
        {"categories": {"poetry": {"fallbacks": ["openai/gpt-4o-mini"], "primary": "glm-5"}}},
        {"categories": {"Poetry ": {"model": "glm-5", "fallback": "openai/gpt-4o-mini"}}},
        {"categories": [{"name": "poetry", "models": ["glm-5", {"id": "openai/gpt-4o-mini"}]}]},
        {"custom_categories": [{"category": "poetry", "models": ["glm-5", "openai/gpt-4o-mini"]}]},
        {"customCategories": {"poetry": ["glm-5", "z-ai/glm-5", "openrouter/openai/gpt-4o-mini"]}},
        {"model_mapping": {"poetry": ["glm-5", "openai/gpt-4o-mini"]}},
        {"Model-Mappings": [{"category": "poetry", "models": ["glm-5", "openai/gpt-4o-mini"]}]},
        {"models": {"poetry": ["glm-5", "openai/gpt-4o-mini"]}},
        {"config": {"categories": {"poetry": ["glm-5", "openai/gpt-4o-mini"]}}},
        {"poetry": {"models": ["glm-5", "openai/gpt-4o-mini"]}},
        {"categories": ["code", "poetry"], "chains": {"poetry": ["glm-5", "openai/gpt-4o-mini"]}},
    ],
)
def test_a_chain_is_found_in_every_likely_shape(data: dict[str, Any]) -> None:
    result = take(default_config(), data)
    assert result.config.categories["poetry"].models == CHAIN
    assert result.not_understood == []
    assert len(result.taken) == 1


@pytest.mark.parametrize("data", [{"code": ["glm-5"]}, {"models": {"code": "glm-5"}}])
def test_a_built_in_category_is_known_wherever_it_stands(data: dict[str, Any]) -> None:
    assert take(default_config(), data).config.categories["code"].models == ("glm-5",)


def test_keywords_and_description_come_along() -> None:
    entry = {"models": ["a/b"], "keywords": "rhyme, , verse", "description": "Poems\nand songs"}
    config = take(default_config(), {"categories": {"Epic Poetry": entry}}).config
    assert config.categories["epic-poetry"] == Category(
        "epic-poetry", ("a/b",), ("rhyme", "verse"), "Poems and songs"
    )


def test_keywords_alone_leave_a_chain_as_it_is() -> None:
    config = take(default_config(), {"categories": {"code": {"keywords": ["rust", "rust"]}}}).config
    assert config.categories["code"].models == default_config().categories["code"].models
    assert config.categories["code"].keywords == ("rust",)


def test_short_names_are_known_to_chains_that_stand_before_them() -> None:
    data = {
        "mapping": {"code": ["ds"]},
        "aliases": {"ds": "deepseek/deepseek-chat", "o": {"id": "a/b"}},
    }
    result = take(default_config(), data)
    assert result.config.aliases["ds"] == "deepseek/deepseek-chat"
    assert result.config.aliases["o"] == "a/b"
    assert result.config.categories["code"].models == ("ds",)
    assert result.not_understood == []


def test_a_mapping_may_lead_from_short_names_to_ids() -> None:
    data = {
        "categories": {"code": {"models": ["ds", "glm-5"]}},
        "model_mapping": {"ds": "deepseek/deepseek-chat", "tools": "z-ai/glm-5"},
    }
    result = take(default_config(), data)
    assert result.config.aliases["ds"] == "deepseek/deepseek-chat"
    assert result.config.categories["code"].models == ("ds", "glm-5")
    assert result.config.categories["tools"].models == ("z-ai/glm-5",)
    assert result.not_understood == []


@pytest.mark.parametrize(
    "data",
    [
        {"categories": {"law": {"keywords": ["court"]}}, "model_mapping": {"law": ["glm-5"]}},
        {"categories": {"law": ["court"]}, "model_mapping": {"law": ["glm-5"]}},
        {"keywords": {"law": ["court"]}, "category_models": {"law": ["glm-5"]}},
        {"categories": [{"name": "law", "keywords": "court"}], "mapping": {"law": "glm-5"}},
    ],
)
def test_keywords_may_stand_apart_from_the_chain_and_before_it(data: dict[str, Any]) -> None:
    result = take(default_config(), data)
    assert result.config.categories["law"] == Category("law", ("glm-5",), ("court",))
    assert result.not_understood == []


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (5, "the file: neither a JSON object nor a list of categories"),
        ({"api_key": "sk-secret"}, "api_key: unknown"),
        ({"routing_mode": "sk-secret"}, "routing_mode: a setting now; put ROUTING_MODE into .env"),
        ({"categories": "sk-secret"}, "categories: neither an object nor a list"),
        ({"categories": ["sk-secret"]}, "categories[0]: nothing to take"),
        ({"categories": [{"models": ["a/b"]}]}, "categories[0]: a category without a name"),
        ({"api": {"model": "sk-secret"}}, "api: unknown"),
        ({"categories": {"code": {}}}, "categories.code: nothing to take"),
        ({"code": {"models": ["glm-5"], "weight": 3}}, "code.weight: unknown"),
        ({"code": {"models": ["glm-5"], "keywords": 3}}, "code.keywords: unknown"),
        (
            {"code": ["glm-5", "sk-secret"]},
            "code[1]: neither a known short name nor vendor/model",
        ),
        ({"code": [{"id": "glm-5", "priority": "sk-secret"}]}, "code[0].priority: unknown"),
        ({"aliases": {"x": {"id": "a/b", "weight": 3}}}, "aliases.x.weight: unknown"),
        (
            {"categories": {"code": ["glm-5"]}, "mapping": {"code": ["a/b"]}},
            "mapping.code: models once more; the last one counts",
        ),
        (
            {"categories": {"Epic Poems": ["a/b"], "epic-poems": ["c/d"]}},
            "categories.epic-poems: models once more; the last one counts",
        ),
        ({"code": 5}, "code: neither a known short name nor vendor/model"),
        ({"categories": {"poetry": {"keywords": ["x"]}}}, "categories.poetry: is missing"),
        ({"categories": {"direct": ["a/b"]}}, "categories.direct: the name direct is reserved"),
        ({"aliases": ["a"]}, "aliases: not an object of short names and ids"),
        ({"aliases": {"all": "a/b"}}, "aliases.all: the name all is reserved"),
        ({"aliases": {"x": 5}}, "aliases.x: must not be empty"),
    ],
)
def test_what_is_not_understood_is_named_by_its_place_and_never_by_its_content(
    data: Any, place: str
) -> None:
    result = take(default_config(), data)
    assert place in result.not_understood
    assert "sk-secret" not in str(result.not_understood)


def test_what_cannot_be_taken_does_not_stop_the_rest() -> None:
    result = take(default_config(), {"mapping": {"direct": ["a/b"], "code": ["a/b"]}})
    assert result.config.categories["code"].models == ("a/b",)
    assert result.taken == ["mapping.code: category code (models)"]


leaves = st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(["glm-5", "a/b", "code"])
keys = st.text(max_size=6) | st.sampled_from(
    ["categories", "models", "aliases", "mapping", "code", "name", "keywords", "primary", "chain"]
)


@given(
    st.recursive(leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(keys, v, max_size=5))
)
def test_no_file_makes_it_fail(data: Any) -> None:
    result = take(default_config(), data)
    assert set(default_config().categories) <= set(result.config.categories)
    assert result.taken or result.not_understood or data in ({}, [])


def test_names_of_categories_that_exist_change_nothing_and_are_reported() -> None:
    result = take(default_config(), ["CODE", "reasoning"])
    assert result.config == default_config()
    assert result.not_understood == ["the file: it names categories that exist, and nothing else"]
