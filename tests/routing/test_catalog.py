from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router.routing.catalog import (
    Catalog,
    CatalogHolder,
    ModelInfo,
    read_model,
    read_models,
)
from tests.fakes.effort import examples

GLM = {
    "id": "z-ai/glm-5",
    "canonical_slug": "z-ai/glm-5-20260211",
    "name": "Z.ai: GLM 5",
    "created": 1770829182,
    "context_length": 202752,
    "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
    "pricing": {"prompt": "0.0000006", "completion": "0.0000019"},
    "top_provider": {"context_length": 131072, "max_completion_tokens": 65536},
    "supported_parameters": ["tools", "temperature"],
    "something_new": {"nested": True},
}


def catalog(*ids: str) -> Catalog:
    return Catalog(
        read_models({"data": [{**GLM, "id": id_, "canonical_slug": id_} for id_ in ids]})
    )


def ids(models: Iterable[ModelInfo]) -> list[str]:
    return [model.id for model in models]


def test_an_entry_keeps_what_routing_needs_and_its_raw_form() -> None:
    model = read_model(GLM)
    assert model is not None
    assert (model.id, model.canonical_slug) == ("z-ai/glm-5", "z-ai/glm-5-20260211")
    assert (model.name, model.created) == ("Z.ai: GLM 5", 1770829182)
    assert (model.context_length, model.max_completion_tokens) == (202752, 65536)
    assert model.input_modalities == model.output_modalities == {"text"}
    assert model.supported_parameters == {"tools", "temperature"}
    assert model.pricing["prompt"] == "0.0000006"
    assert model.raw is GLM


def test_the_context_of_the_top_provider_stands_in_for_a_missing_one() -> None:
    model = read_model({**GLM, "context_length": None})
    assert model is not None
    assert model.context_length == 131072


@pytest.mark.parametrize(
    "value", [None, 0, -5, "many", True, [], float("nan"), float("inf"), 1e300]
)
def test_an_unreadable_number_counts_as_not_stated(value: object) -> None:
    model = read_model({"id": "a/b", "context_length": value, "created": value})
    assert model is not None
    assert model.context_length is None
    assert model.created == 0


def test_an_entry_with_nothing_but_an_id_is_enough() -> None:
    model = read_model({"id": "a/b"})
    assert model is not None
    assert (model.canonical_slug, model.name) == ("a/b", "a/b")
    assert not model.supported_parameters
    assert not model.pricing


def test_entries_that_cannot_be_read_are_skipped() -> None:
    """F46: one broken entry does not cost the whole list."""
    body: object = {
        "data": [GLM, None, 7, "z", [], {}, {"id": 3}, {"id": ""}, {"id": "a/b", "pricing": 1}]
    }
    assert ids(read_models(body)) == ["z-ai/glm-5", "a/b"]


@pytest.mark.parametrize(
    "body", [None, [], "", {}, {"data": None}, {"data": {"id": "a/b"}}, {"data": "x"}, 3]
)
def test_an_answer_without_a_list_has_no_models(body: object) -> None:
    assert read_models(body) == ()


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@settings(max_examples=examples(50))
@given(
    st.dictionaries(
        st.sampled_from([*GLM, "id"]), json | st.dictionaries(st.sampled_from([*GLM]), json)
    )
)
def test_no_entry_makes_the_reader_fail(entry: dict[str, object]) -> None:
    models = read_models({"data": [entry]})
    assert all(model.id for model in models)


def test_a_model_is_found_by_id_slug_and_under_a_variant() -> None:
    known = Catalog(read_models({"data": [GLM]}))
    glm = known.models[0]
    for id_ in ("z-ai/glm-5", "z-ai/glm-5-20260211", "z-ai/glm-5:nitro", "z-ai/glm-5@preset/mine"):
        assert known.get(id_) is glm
    assert known.get("z-ai/glm-4") is None


def test_a_shared_slug_means_the_model_without_a_variant() -> None:
    free = {**GLM, "id": "z-ai/glm-5:free"}
    known = Catalog(read_models({"data": [free, GLM]}))
    found = known.get("z-ai/glm-5-20260211")
    assert found is not None
    assert found.id == "z-ai/glm-5"


def test_a_listed_variant_is_itself() -> None:
    found = catalog("a/b", "a/b:free").get("a/b:free")
    assert found is not None
    assert found.id == "a/b:free"


def test_an_id_that_a_list_does_not_have_is_gone() -> None:
    known = catalog("a/b")
    assert known.is_gone("openrouter/aurora-alpha")
    assert known.is_gone("a/c:free")
    assert not known.is_gone("a/b")
    assert not known.is_gone("a/b:free")


@pytest.mark.parametrize(
    "model_id",
    ["a/c:nitro", "a/c:floor", "a/c:exacto", "a/c:online", "~a/c-latest", "@preset/mine",
     "a/c@preset/mine", "openrouter/auto", "openrouter/free"],
)  # fmt: skip
def test_an_id_of_which_a_list_says_nothing_is_never_gone(model_id: str) -> None:
    assert not catalog("a/b").is_gone(model_id)


def test_without_a_list_nothing_is_known_and_nothing_is_gone() -> None:
    nothing = CatalogHolder().current
    assert not nothing
    assert nothing.fetched_at is None
    assert nothing.get("a/b") is None
    assert not nothing.is_gone("a/b")
    assert nothing.gone(["a/b"]) == {}
    assert nothing.near("a/b") == ()


def test_a_holder_starts_with_the_list_it_is_given() -> None:
    known = Catalog(read_models({"data": [GLM]}), fetched_at=12.5)
    assert known
    assert CatalogHolder(known).current is known
    assert known.fetched_at == 12.5


def test_gone_ids_come_with_near_names() -> None:
    known = catalog("openai/gpt-4o-mini", "z-ai/glm-5", "z-ai/glm-5.3")
    assert known.gone(["z-ai/glm-55", "openai/gpt-4o-mini"]) == {
        "z-ai/glm-55": ("z-ai/glm-5", "z-ai/glm-5.3")
    }


@pytest.mark.parametrize("name", ["gpt-4o-mni", "OpenAI/GPT-4o-mni", "azure/gpt-4o-mini"])
def test_near_names_look_past_case_and_vendor(name: str) -> None:
    assert catalog("openai/gpt-4o-mini", "z-ai/glm-5").near(name) == ("openai/gpt-4o-mini",)


def test_a_price_is_that_of_the_very_variant() -> None:
    cheap = {**GLM, "id": "a/b:free", "canonical_slug": "a/b", "pricing": {"prompt": "0"}}
    known = Catalog(read_models({"data": [{**GLM, "id": "a/b", "canonical_slug": "a/b"}, cheap]}))
    assert known.pricing("a/b:free") == {"prompt": "0"}
    assert known.pricing("a/b:nitro") == GLM["pricing"]
    assert known.pricing("a/b:batch") is None
    assert known.pricing("a/c") is None
