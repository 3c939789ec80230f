"""What the headers of a chat request say, once it is let in."""

from collections.abc import Mapping

from msgspec import Struct

from llm_router.upstream.headers import for_upstream

SESSION_HEADER = "x-session-id"
CATEGORY_HEADER = "x-router-category"


class Preface(Struct, frozen=True):
    """`client_key` is the name of the key that let it in, `category` the one it forces."""

    client_key: str | None
    to_upstream: dict[str, str]
    session: str | None
    category: str | None


def read_preface(headers: Mapping[str, str], client_key: str | None) -> Preface:
    """Read headers that are found by their lower-case names."""
    passed = for_upstream(headers)
    return Preface(client_key, passed, passed.get(SESSION_HEADER), headers.get(CATEGORY_HEADER))
