"""The minimum of a smooth convex function: L-BFGS with backtracking (Nocedal & Wright, ch. 7)."""

from collections import deque
from collections.abc import Callable, Sequence
from operator import mul, sub

Vector = list[float]
Function = Callable[[Vector], tuple[float, Vector]]  # value and gradient

_STEPS = 200
_KEPT = 10
_FLAT = 0.3  # the greatest slope that still counts as level: less than a unit of any weight
_ENOUGH = 1e-4
_HALVINGS = 30


def minimize(function: Function, start: Vector) -> Vector:
    at = start
    value, slope = function(at)
    kept: deque[tuple[Vector, Vector, float]] = deque(maxlen=_KEPT)
    for _ in range(_STEPS):
        if max(map(abs, slope)) < _FLAT:
            break
        way = _direction(slope, kept)
        descent = _dot(way, slope)
        length = 1.0 if kept else 1.0 / max(map(abs, slope))
        for _ in range(_HALVINGS):
            there = [x + length * step for x, step in zip(at, way, strict=True)]
            value_there, slope_there = function(there)
            if value_there <= value + _ENOUGH * length * descent:
                break
            length /= 2
        else:
            break
        moved = list(map(sub, there, at))
        turned = list(map(sub, slope_there, slope))
        if (curve := _dot(moved, turned)) > 0:
            kept.append((moved, turned, curve))
        at, value, slope = there, value_there, slope_there
    return at


def _direction(slope: Vector, kept: Sequence[tuple[Vector, Vector, float]]) -> Vector:
    way = [-x for x in slope]
    shares = []
    for moved, turned, curve in reversed(kept):
        share = _dot(moved, way) / curve
        shares.append(share)
        way = [x - share * y for x, y in zip(way, turned, strict=True)]
    if kept:
        moved, turned, curve = kept[-1]
        scale = curve / _dot(turned, turned)
        way = [scale * x for x in way]
    for (moved, turned, curve), share in zip(kept, reversed(shares), strict=True):
        rest = share - _dot(turned, way) / curve
        way = [x + rest * y for x, y in zip(way, moved, strict=True)]
    return way


def _dot(left: Vector, right: Vector) -> float:
    total: float = sum(map(mul, left, right))
    return total
