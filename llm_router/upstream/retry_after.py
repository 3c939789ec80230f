"""When upstream wants to be asked again: it says so in six places and four notations."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SHORTEST_S = 1.0
LONGEST_S = 3600.0

_NUMBER = re.compile(r"\s*([+-]?\d{1,18}(?:\.\d{1,18})?)\s*")
_EPOCH_MS = 1e11  # larger numbers are epoch milliseconds, as OpenRouter's X-RateLimit-Reset is
_FAR = 10**15
_EPOCH_S = 1e9  # larger ones epoch seconds, smaller ones seconds from now


def clamp(seconds: float) -> float:
    return min(max(seconds, SHORTEST_S), LONGEST_S)


def duration_s(value: object, now: float) -> float | None:
    """Return Retry-After, in seconds or as an HTTP date, clamped to 1 s .. 1 h; None for garbage.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    number = _number(value)
    if number is not None:
        return clamp(number)
    moment = _date(value)
    return None if moment is None else clamp(moment - now)


def moment_s(value: object, now: float) -> float | None:
    """Return how long until a moment (epoch ms, epoch s, ISO text), clamped likewise."""
    number = _number(value)
    if number is None:
        moment = _date(value)
        return None if moment is None else clamp(moment - now)
    if number >= _EPOCH_MS:
        return clamp(number / 1000 - now)
    return clamp(number - now if number >= _EPOCH_S else number)


def answer_time(headers: Mapping[str, str]) -> float | None:
    """Return the answer's own Date: an HTTP date in it means that clock, not ours."""
    return _date(headers.get("date"))


def _number(value: object) -> float | None:
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        return float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    # Bounded before it becomes a float: an int of any size compares, but not every one converts.
    return float(min(max(value, -_FAR), _FAR))


def _date(value: object) -> float | None:
    if not isinstance(value, str) or len(value) > 64:
        return None
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None
