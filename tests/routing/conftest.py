import pytest

from llm_router.ledger.entry import BreakerChanged
from llm_router.routing.breaker import Breakers
from tests.fakes.clock import Clock
from tests.routing.calls import make


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> list[BreakerChanged]:
    return []


@pytest.fixture
def breakers(clock: Clock, changes: list[BreakerChanged]) -> Breakers:
    return make(clock, changes)
