import pytest

from llm_router.errors import ModelNotFound, UnknownCategory
from llm_router.routing.catalog import Catalog, read_models
from llm_router.routing.config import Category, RoutingConfig
from llm_router.routing.resolve import Classify, Direct, Forced, Resolution, known_names, resolve

CONFIG = RoutingConfig(
    1,
    {name: Category(name, ("glm-5",)) for name in ("code", "conversation", "router-work")},
    {"glm-5": "z-ai/glm-5"},
)
CATALOG = Catalog(read_models({"data": [{"id": "moonshotai/kimi-k2.5"}]}))


def ask(model: str, header: str | None = None, *, direct: bool = True) -> Resolution:
    return resolve(model, header, CONFIG, CATALOG, direct)


@pytest.mark.parametrize(
    "model", ["router", "auto", "llm/router", "openrouter/router", "router/router"]
)
def test_the_routers_names_ask_for_a_classification(model: str) -> None:
    assert ask(model) == Classify()
    assert ask(model, direct=False) == Classify()


def test_a_category_can_be_named_in_the_model() -> None:
    assert ask("router/code") == Forced("code")
    assert ask("router/router-work", direct=False) == Forced("router-work")


@pytest.mark.parametrize("model", ["router", "glm-5", "nonsense", "a/b"])
def test_the_header_goes_before_the_model(model: str) -> None:
    assert ask(model, "code", direct=False) == Forced("code")


@pytest.mark.parametrize("name", ["cod", "", "direct", "Code"])
def test_an_unknown_category_in_the_header_is_refused(name: str) -> None:
    with pytest.raises(UnknownCategory) as caught:
        ask("router", name)
    assert caught.value.param == "x-router-category"
    assert caught.value.metadata == {"categories": ["code", "conversation", "router-work"]}


def test_an_unknown_category_is_answered_with_near_names() -> None:
    with pytest.raises(UnknownCategory, match="Did you mean code"):
        ask("router", "cod")


def test_an_alias_means_its_full_id() -> None:
    assert ask("glm-5") == Direct("z-ai/glm-5")


@pytest.mark.parametrize(
    "model",
    [
        "moonshotai/kimi-k2.5",
        "nobody/lists-this",
        "z-ai/glm-5:free",
        "z-ai/glm-5@preset/careful",
        "~anthropic/claude-latest",
        "@preset/careful",
    ],
)
def test_a_full_id_is_taken_whether_listed_or_not(model: str) -> None:
    assert ask(model) == Direct(model)


@pytest.mark.parametrize(
    "model",
    ["gpt-5", "", "router/cod", "/x", "a/", "a b/c", "a/b\r\nx: y", "a/b\x00", "a/" + "b" * 300],
)
def test_anything_else_is_not_found(model: str) -> None:
    """F60, F65"""
    with pytest.raises(ModelNotFound) as caught:
        ask(model)
    assert caught.value.status == 404
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("model", "near"),
    [("glm5", "glm-5"), ("router/cod", "router/code"), ("kimi-k2", "moonshotai/kimi-k2.5")],
)
def test_near_names_are_offered(model: str, near: str) -> None:
    with pytest.raises(ModelNotFound, match="Did you mean") as caught:
        ask(model)
    assert caught.value.metadata is not None
    assert near in caught.value.metadata["near"]


def test_nothing_near_is_nothing_offered() -> None:
    with pytest.raises(ModelNotFound) as caught:
        ask("zzzzzzzz")
    assert caught.value.metadata is None


@pytest.mark.parametrize("model", ["glm-5", "z-ai/glm-5"])
def test_naming_models_can_be_forbidden(model: str) -> None:
    """T32"""
    with pytest.raises(ModelNotFound, match=r"models\.direct"):
        ask(model, direct=False)


def test_every_known_name_resolves() -> None:
    for name in known_names(CONFIG, CATALOG):
        ask(name)
