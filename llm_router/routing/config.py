"""Categories, chains and aliases: the part of the configuration that changes while we serve."""

from collections.abc import Mapping
from dataclasses import dataclass, field

BUILTIN = ("tools", "code", "reasoning", "conversation")
DIRECT = "direct"  # what the ledger says when a client named the model itself
FALLBACK = "conversation"  # whatever fits nothing else


@dataclass(frozen=True, slots=True)
class Category:
    """`models` are aliases or full ids, best first; never empty."""

    name: str
    models: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    description: str = ""

    @property
    def is_builtin(self) -> bool:
        return self.name in BUILTIN


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """One version of the configuration. A request takes one and keeps it to its end."""

    version: int
    categories: Mapping[str, Category] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def model_id(self, model: str) -> str:
        """Return the full OpenRouter id of an alias, or the id itself."""
        return self.aliases.get(model, model)

    def model_ids(self, *others: str) -> set[str]:
        """Return every id that some chain or alias names, and those of `others`."""
        chains = (self.model_id(m) for c in self.categories.values() for m in c.models)
        return {*chains, *self.aliases.values(), *map(self.model_id, others)}


class ConfigHolder:
    """Where the version in force stands; replaced whole, so readers never see a mixture."""

    def __init__(self, current: RoutingConfig) -> None:
        self.current = current

    def advance(self, config: RoutingConfig) -> None:
        """Put a version in force unless a later one is."""
        if config.version > self.current.version:
            self.current = config
