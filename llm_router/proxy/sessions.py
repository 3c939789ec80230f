"""Which model a session stays with, so that the provider's prompt cache stays of use.

A change of model costs the whole conversation's tokens at full price, and changes the voice. So a
session keeps the model that answered it last until the breaker shuts that out, the model cannot
serve a request, or a turn clearly belongs to a stronger category. What is kept goes to the journal
as well: a restart takes it up, and other workers follow.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from llm_router.classify.base import By, Decision
from llm_router.clock import Clock
from llm_router.ledger.entry import SessionKept
from llm_router.proxy.body import ChatBody
from llm_router.proxy.conversation import conversation_of
from llm_router.routing.config import FALLBACK, RoutingConfig

KEPT = 10_000
IDLE_S = 3600.0  # no provider keeps a prompt much longer

# Surer than this a turn may leave the category its session has. As for asking nobody else.
CERTAIN = 0.7
# From weak to strong; all others, the user's own and `tools`, are stronger still.
_WEAK = {FALLBACK: 0, "reasoning": 1, "code": 2}
_STRONG = 3

_Key = tuple[str, str]  # the client key's name, "" for none, and the session's


class Held(Struct, frozen=True, gc=False):
    """What a session has since `at` (unix seconds), and until when (on the monotonic clock)."""

    category: str
    by: By
    confidence: float | None
    model: str
    at: float
    until: float


class Sessions:
    """Remembers the sessions used last, at most `kept` of them; `append` journals them."""

    def __init__(
        self, clock: Clock, append: Callable[[SessionKept], None], kept: int = KEPT
    ) -> None:
        self._clock = clock
        self._append = append
        self._limit = kept
        self._held: OrderedDict[_Key, Held] = OrderedDict()

    def find(self, key: _Key) -> Held | None:
        held = self._held.get(key)
        if held is None:
            return None
        if self._clock.monotonic() >= held.until:
            del self._held[key]
            return None
        return held

    def keep(self, key: _Key, decision: Decision, model: str) -> None:
        """Note that a model answered; the session stays with it."""
        client_key, name = key
        kept = SessionKept(
            name,
            client_key,
            self._clock.wall(),
            decision.category,
            decision.by,
            decision.confidence,
            model,
        )
        self._append(kept)
        self._take(kept)

    def follow(self, kept: Iterable[SessionKept]) -> None:
        """Take up what is stored: what was kept before the start, or by other processes."""
        for entry in kept:
            held = self._held.get((entry.client_key, entry.session))
            if held is None or entry.at > held.at:
                self._take(entry)

    def _take(self, kept: SessionKept) -> None:
        age_s = max(0.0, self._clock.wall() - kept.at)
        key = (kept.client_key, kept.session)
        self._held[key] = Held(
            kept.category,
            cast(By, kept.classifier),
            kept.confidence,
            kept.model,
            kept.at,
            self._clock.monotonic() + IDLE_S - age_s,
        )
        self._held.move_to_end(key)
        if len(self._held) > self._limit:
            self._held.popitem(last=False)


class Session(Struct, frozen=True):
    """One request's session. `name` is the client's, or stands for how the conversation begins."""

    table: Sessions
    client_key: str | None
    name: str
    is_guessed: bool

    @property
    def _key(self) -> _Key:
        """A session is its client's: two of them may well choose the same name."""
        return self.client_key or "", self.name

    def held(self, config: RoutingConfig, *, is_new: bool) -> Held | None:
        """Return what it has, if the configuration still has that, too.

        A conversation that `is_new` and has no name may begin in the same words as another one.
        """
        held = None if is_new and self.is_guessed else self.table.find(self._key)
        if held is None or (category := config.categories.get(held.category)) is None:
            return None
        return held if held.model in map(config.model_id, category.models) else None

    def keep(self, decision: Decision, model: str) -> None:
        self.table.keep(self._key, decision, model)


def session_of(table: Sessions | None, body: ChatBody, client_key: str | None) -> Session | None:
    """Return the session that a request belongs to; None when sessions are not kept."""
    if table is None:
        return None
    name = body.session or conversation_of(body.messages)
    return Session(table, client_key, name, body.session is None) if name else None


def in_session(decision: Decision, held: Held) -> Decision | None:
    """Return the decision that a session makes of a turn's own; None if that one prevails."""
    if decision.category == held.category:
        return replace(decision, rule=f"{decision.rule}; the session keeps {held.model}")
    if _is_stronger(decision, held):
        return None
    others = [(name, p) for name, p in decision.runners_up if name != held.category]
    return replace(
        decision,
        category=held.category,
        by=held.by,
        confidence=held.confidence,
        rule=f"the session keeps {held.model}; this turn alone: {decision.category}, "
        f"{decision.rule}",
        runners_up=((decision.category, decision.confidence or 0.0), *others),
    )


def _is_stronger(decision: Decision, held: Held) -> bool:
    if decision.category == FALLBACK or decision.by == "default":
        return False
    is_certain = decision.confidence is None or decision.confidence >= CERTAIN
    return is_certain and _strength(decision.category) >= _strength(held.category)


def _strength(category: str) -> int:
    return _WEAK.get(category, _STRONG)
