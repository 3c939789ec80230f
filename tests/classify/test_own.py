import pytest

from llm_router.classify.own import compiled
from llm_router.classify.vocabulary import tokens
from tests.classify.helpers import config, own


def hinted(text: str, name: str, description: str) -> list[str]:
    where = compiled(config(own(name, description=description)))
    lower = text.lower()
    return where.hinted(lower, tokens(lower)).get(name, [])


@pytest.mark.parametrize(
    ("description", "text", "found"),
    [
        ("translations between languages", "translate this", ["translate"]),
        ("cooking recipes", "a recipe please", ["recipe"]),
        ("cooking recipes", "which recipes", ["recipes"]),
        ("cooking recipes", "the recipient", []),
        ("flights, hotels and visas", "a visa and a cheap flight", ["flight", "visa"]),
        ("cooking and baking", "how long do I bake it? I never cook", ["bake", "cook"]),
        ("planning the week", "my plan", ["plan"]),
        ("stories of kings", "the king", ["king"]),
        ("evening news", "something new, even so", []),
        ("rings and strings", "r, str", []),
        (
            "Krankheiten und Medikamente",
            "ein Medikament gegen diese Krankheit",
            ["krankheit", "medikament"],
        ),
        ("everything about tea", "everything about it", []),
        ("everything about tea", "some tea", ["tea"]),
        ("合同和法律", "请看这份合同", ["合同"]),
        ("up to 12 of us", "12 of us", []),
    ],
)
def test_words_of_a_description_are_found_in_their_forms(
    description: str, text: str, found: list[str]
) -> None:
    assert hinted(text, "mine", description) == found


def test_the_name_is_a_hint_word_by_word() -> None:
    assert hinted("my travel plans", "travel-planning", "") == ["plans", "travel"]
    assert hinted("my travel plans", "travel_desk", "") == ["travel"]


def test_built_in_categories_give_no_hints() -> None:
    where = compiled(config())
    assert where.hinted("code", ["code"]) == {}
    assert where.wanted("code", ["code"]) == {}
