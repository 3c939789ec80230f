"""What a run found: figures for people and scripts, and every problem as a sentence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Report:
    """A run without problems is a success."""

    name: str
    facts: Mapping[str, Any]
    problems: Sequence[str]

    def __str__(self) -> str:
        lines = [self.name, json.dumps(self.facts, indent=2)]
        lines += self.problems[:_SHOWN]
        if len(self.problems) > _SHOWN:
            lines.append(f"… and {len(self.problems) - _SHOWN} more")
        lines.append(f"{len(self.problems)} problems" if self.problems else "nothing amiss")
        return "\n".join(lines)
