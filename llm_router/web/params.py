"""Query parameters: only those that exist, and one clear sentence about those that are wrong."""

from collections.abc import Collection, Mapping, Sequence

from aiohttp import web

from llm_router.errors import InvalidRequest
from llm_router.ledger.period import Period, parse_moment

_SHOWN = 80


def read_query(request: web.Request, allowed: Sequence[str]) -> dict[str, str]:
    """Return the parameters that say something; one that is given twice counts as a list."""
    query = request.query
    for name in query:
        if name not in allowed:
            raise InvalidRequest(
                f"There is no parameter {name[:_SHOWN]!r} here; there are {', '.join(allowed)}.",
                param=name[:_SHOWN],
            )
    return {name: value for name in query if (value := ",".join(query.getall(name)))}


def period(query: Mapping[str, str], now: float) -> Period:
    """Read `since` and `until`."""
    span = Period(_moment(query, "since", now), _moment(query, "until", now))
    if span.is_empty:
        raise InvalidRequest(
            f"since ({span.since}) must lie before until ({span.until}).", param="since"
        )
    return span


def _moment(query: Mapping[str, str], name: str, now: float) -> str | None:
    if name not in query:
        return None
    try:
        return parse_moment(query[name], now)
    except ValueError as exc:
        raise InvalidRequest(f"{name}: {exc}.", param=name) from exc


def choice(query: Mapping[str, str], name: str, allowed: Collection[str]) -> str | None:
    value = query.get(name)
    if value is not None and value not in allowed:
        raise _not_allowed(name, value, allowed)
    return value


def choices(query: Mapping[str, str], name: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Read one or several values, separated by commas, each counted once."""
    values = dict.fromkeys(part.strip() for part in query.get(name, "").split(",") if part.strip())
    for value in values:
        if value not in allowed:
            raise _not_allowed(name, value, allowed)
    return tuple(values)


def whole_number(query: Mapping[str, str], name: str, default: int, at_most: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= at_most):
        raise InvalidRequest(
            f"{name}: {text[:_SHOWN]!r} is not a number from 1 to {at_most}.", param=name
        )
    return int(text)


def _not_allowed(name: str, value: str, allowed: Collection[str]) -> InvalidRequest:
    return InvalidRequest(
        f"{name}: {value[:_SHOWN]!r} is not one of {', '.join(allowed)}.", param=name
    )
