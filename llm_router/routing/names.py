"""What categories, aliases and models may be called, and the bounds of everything beside them."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from llm_router.routing.config import DIRECT

# A client that says `router` or `auto` asks us to choose, and `all` resets every breaker.
_TAKEN_ALIASES = frozenset({"router", "auto", "all"})
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_MODEL_ID = re.compile(r"~?[A-Za-z0-9][\w.-]*/[A-Za-z0-9~][\w.:/@+-]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[\w.-]{1,64}", re.ASCII)


def _category_name(name: str) -> str:
    if not _CATEGORY.fullmatch(name):
        raise ValueError("a category's name is 1 to 64 of a-z, 0-9, _ and -, first a-z or 0-9")
    if name == DIRECT:
        raise ValueError(f"the name {DIRECT} is reserved")
    return name


def _alias_name(name: str) -> str:
    if not _ALIAS.fullmatch(name):
        raise ValueError("an alias is 1 to 64 of letters, digits, . _ : and -")
    if name in _TAKEN_ALIASES:
        raise ValueError(f"the name {name} is reserved")
    return name


def _model_id(model: str) -> str:
    if not is_model_id(model):
        raise ValueError("must be a full id like vendor/model")
    return model


def _one_line(text: str) -> str:
    """Control characters have no business in logs and in prompts for a classifier."""
    if _CONTROL.search(text):
        raise ValueError("must be one line without control characters")
    return text


def _text(limit: int, *, least: int = 0) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=least, max_length=limit)


CategoryName = Annotated[str, AfterValidator(_category_name)]
AliasName = Annotated[str, AfterValidator(_alias_name)]
ModelName = Annotated[str, _text(200, least=1)]  # an alias or a full id
ModelId = Annotated[ModelName, AfterValidator(_model_id)]
Keyword = Annotated[str, _text(100, least=1), AfterValidator(_one_line)]
Models = Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=32)]
Keywords = Annotated[tuple[Keyword, ...], Field(max_length=500)]
Description = Annotated[str, _text(1000), AfterValidator(_one_line)]


def is_model_id(text: str) -> bool:
    """Return whether it reads `vendor/model`, variants like `:free` included."""
    return _MODEL_ID.fullmatch(text) is not None


def safe(text: str) -> str:
    """Show a name that somebody sent: short, and in ASCII where it is odd."""
    plain = text if _PLAIN.fullmatch(text) or is_model_id(text) else ascii(text)
    return plain if len(plain) <= 80 else plain[:77] + "..."
