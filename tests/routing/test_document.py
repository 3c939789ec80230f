"""The rules every configuration keeps, and that reading back what was written loses nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.errors import DocumentError
from llm_router.routing.config import BUILTIN, Category, RoutingConfig
from llm_router.routing.defaults import default_config
from llm_router.routing.document import (
    Change,
    changes,
    from_toml,
    parse,
    seed,
    to_dict,
    to_toml,
)
from tests.fakes.effort import examples

BAD_CATEGORY = "a category's name is 1 to 64 of a-z, 0-9, _ and -"
BAD_ALIAS = "an alias is 1 to 64 of letters, digits"


def document(**categories: object) -> dict[str, Any]:
    base = to_dict(default_config())
    return base | {"categories": base["categories"] | categories}


def test_the_default_chains_are_those_that_are_promised() -> None:
    config = default_config()
    assert {name: config.categories[name].models for name in BUILTIN} == {
        "tools": ("aurora-alpha", "kimi-k2.5", "glm-5"),
        "code": ("glm-5", "aurora-alpha", "gpt-4o-mini"),
        "reasoning": ("aurora-alpha", "glm-5", "kimi-k2.5"),
        "conversation": ("glm-5", "gpt-4o-mini", "aurora-alpha"),
    }
    assert config.model_ids() == {
        "openrouter/aurora-alpha",
        "moonshotai/kimi-k2.5",
        "z-ai/glm-5",
        "openai/gpt-4o-mini",
    }
    assert parse(to_dict(config)) == config


@pytest.mark.parametrize(
    ("entry", "path", "problem"),
    [
        ({}, "x.models", "is missing"),
        ({"models": []}, "x.models", "must not be empty"),
        ({"models": "glm-5"}, "x.models", "must be a list"),
        ({"models": [5]}, "x.models[0]", "must be text"),
        ({"models": [" "]}, "x.models[0]", "must not be empty"),
        ({"models": ["a/" + "b" * 200]}, "x.models[0]", "must have at most 200 characters"),
        ({"models": ["a/b"] * 33}, "x.models", "must have at most 32 entries"),
        ({"models": ["a/b", "a/b"]}, "x.models[1]", "a/b is in the chain twice"),
        ({"models": ["glm-5", "z-ai/glm-5"]}, "x.models[1]", "z-ai/glm-5 is in the chain twice"),
        (
            {"models": ["glm5"]},
            "x.models[0]",
            "glm5 is neither an alias nor vendor/model; did you mean glm-5 or z-ai/glm-5?",
        ),
        ({"models": ["/b"]}, "x.models[0]", "'/b' is neither an alias nor vendor/model"),
        ({"models": ["http://a/b"]}, "x.models[0]", "'http://a/b' is neither"),
        ({"models": ["a/b\n"], "keywords": ["x\x1b"]}, "x.keywords[0]", "must be one line"),
        ({"models": ["a/b"], "keywords": [""]}, "x.keywords[0]", "must not be empty"),
        ({"models": ["a/b"], "keywords": ["k"] * 501}, "x.keywords", "at most 500 entries"),
        ({"models": ["a/b"], "description": "x" * 1001}, "x.description", "at most 1000"),
        ({"models": ["a/b"], "chain": 1}, "x.chain", "unknown field"),
        (
            {"models": ["a/b"], "b": 1, "c": 2},
            "x.b",
            "unknown fields: categories.x.b, categories.x.c",
        ),
        ({"models": ["a/\ud800"]}, "x.models[0]", "must be text in valid Unicode"),
        (5, "x", "must be an object"),
    ],
)
def test_a_category_that_breaks_a_rule_is_refused(entry: object, path: str, problem: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(document(x=entry))
    assert caught.value.path == f"categories.{path}"
    assert problem in caught.value.problem
    assert str(caught.value) == f"{caught.value.path}: {caught.value.problem}"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", BAD_CATEGORY),
        ("-a", BAD_CATEGORY),
        ("Code", BAD_CATEGORY),
        ("a b", BAD_CATEGORY),
        ("a\n", BAD_CATEGORY),
        ("ü", BAD_CATEGORY),
        ("a" * 65, BAD_CATEGORY),
        ("direct", "the name direct is reserved"),
    ],
)
def test_a_category_cannot_have_every_name(name: str, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem):
        parse(document(**{name: {"models": ["a/b"]}}))


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "data-science_2"])
def test_other_names_are_fine(name: str) -> None:
    assert name in parse(document(**{name: {"models": ["a/b"]}})).categories


@pytest.mark.parametrize(
    ("name", "model", "problem"),
    [
        ("a/b", "a/b", BAD_ALIAS),
        ("", "a/b", BAD_ALIAS),
        ("a b", "a/b", BAD_ALIAS),
        ("router", "a/b", "the name router is reserved"),
        ("auto", "a/b", "the name auto is reserved"),
        ("all", "a/b", "the name all is reserved"),
        ("x", "glm-5", "must be a full id like vendor/model"),
        ("x", "", "must not be empty"),
    ],
)
def test_an_alias_is_a_short_name_for_a_full_id(name: str, model: str, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem):
        parse(to_dict(default_config()) | {"aliases": {name: model}})


@pytest.mark.parametrize("model", ["a/b", "a/b:free", "~anthropic/claude-latest", "x-ai/grok-4.1"])
def test_an_id_may_carry_a_variant(model: str) -> None:
    assert parse(document(x={"models": [model]})).categories["x"].models == (model,)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({}, "categories: is missing"),
        ({"categories": []}, "categories: must be an object"),
        ({"categories": {}}, "categories.tools: is missing; built-in categories always exist"),
        ({"categories": {}, "server": {}}, "server: unknown field"),
    ],
)
def test_a_document_has_all_of_it_and_nothing_else(value: object, problem: str) -> None:
    """T35: only the listed fields."""
    with pytest.raises(DocumentError, match=problem):
        parse(value)


def test_a_chain_needs_the_aliases_it_uses() -> None:
    with pytest.raises(DocumentError, match="neither an alias"):
        parse(to_dict(default_config()) | {"aliases": {}})


def test_a_seed_keeps_the_defaults_it_does_not_mention() -> None:
    config = seed({"categories": {"code": {"models": ["a/b"], "description": "mine"}}})
    assert config.categories["code"] == Category("code", ("a/b",), (), "mine")
    assert config.aliases == default_config().aliases
    assert seed({}) == default_config()


@pytest.mark.parametrize(
    "document", [{"categories": 5}, {"aliases": 5}, {"categories": {"code": 5}}, {"x": 1}]
)
def test_a_seed_is_checked_like_any_document(document: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        seed(document)


def test_changes_name_what_differs() -> None:
    before = to_dict(default_config())
    after = document(poetry={"models": ["a/b"], "keywords": ["rhyme"], "description": ""})
    after["aliases"] = {k: v for k, v in before["aliases"].items() if k != "glm-5"}
    assert changes(before, before) == []
    assert changes(before, after) == [
        Change("aliases.glm-5", "z-ai/glm-5", None),
        Change("categories.poetry.models", None, ["a/b"]),
        Change("categories.poetry.keywords", None, ["rhyme"]),
        Change("categories.poetry.description", None, ""),
    ]
    assert len(changes({}, before)) == 4 + 4 * 3


def test_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(DocumentError, match="not valid TOML"):
        from_toml("[categories")


words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=60).map(str.strip)
model_ids = st.from_regex(r"\A[a-z0-9][a-z0-9.-]{0,9}/[a-z0-9][a-z0-9.:-]{0,20}\Z")
names = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,20}\Z").filter(lambda name: name != "direct")
aliases = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,20}\Z").filter(
    lambda name: name not in ("router", "auto", "all")
)


@st.composite
def configs(draw: st.DrawFn) -> RoutingConfig:
    table = draw(st.dictionaries(aliases, model_ids, max_size=5))
    usable = st.sampled_from(sorted(table)) | model_ids if table else model_ids
    chains = st.lists(usable, min_size=1, max_size=5, unique_by=lambda m: table.get(m, m))
    categories = {
        name: Category(
            name,
            tuple(draw(chains)),
            tuple(draw(st.lists(words.filter(bool), max_size=4))),
            draw(words),
        )
        for name in [*BUILTIN, *draw(st.lists(names, max_size=3))]
    }
    return RoutingConfig(0, categories, table)


@settings(max_examples=examples(40))
@given(configs())
def test_what_was_exported_applies_as_it_was(config: RoutingConfig) -> None:
    assert from_toml(to_toml(config)) == config
    assert parse(json.loads(json.dumps(to_dict(config)))) == config


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
near_misses = st.fixed_dictionaries(
    {},
    optional={
        "categories": st.dictionaries(
            names | st.text(max_size=5),
            st.fixed_dictionaries(
                {}, optional=dict.fromkeys(("models", "keywords", "description", "x"), json_values)
            )
            | json_values,
            max_size=4,
        )
        | json_values,
        "aliases": st.dictionaries(st.text(), json_values, max_size=3) | json_values,
    },
)


@given(near_misses | json_values)
def test_whatever_comes_in_is_a_configuration_or_one_sentence(value: Any) -> None:
    readers: list[Callable[[Any], RoutingConfig]] = (
        [parse, seed] if isinstance(value, dict) else [parse]
    )
    for read in readers:
        try:
            config = read(value)
        except DocumentError as exc:
            sentence = str(exc)
        else:
            sentence = f"{len(config.categories)} categories"
        assert sentence.isprintable() or sentence.isascii()
        assert 0 < len(sentence) < 4000
