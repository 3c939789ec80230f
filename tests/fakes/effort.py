"""How many examples a property is tried with: few by default, many in the profile `deep`."""

from hypothesis import settings


def examples(few: int) -> int:
    """Return `few`, multiplied as the profile's own number is: twentyfold in `make faults`."""
    return few * settings().max_examples // 100
