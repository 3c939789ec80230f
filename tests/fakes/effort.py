"""How many examples a property is tried with: few by default, many in the profile `deep`."""

from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


def examples(few: int) -> int:
    """Return `few`, multiplied as the profile's own number is: twentyfold in `make faults`."""
    return few * settings().max_examples // 100


def drawn(strategy: SearchStrategy[T], few: int) -> list[T]:
    """Return examples for a test that tries them on something that runs."""
    collected: list[T] = []

    @settings(
        max_examples=examples(few),
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
    )
    @given(strategy)
    def collect(value: T) -> None:
        collected.append(value)

    collect()
    return collected
