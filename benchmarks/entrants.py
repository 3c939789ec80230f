"""Who can take part: which program, with which settings, in front of which upstream."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

# The router goes by the mode of its classifier.
Kind = Literal[
    "direct",
    "pass-through",
    "nginx",
    "LiteLLM",
    "2 workers",
    "keywords",
    "local",
    "hybrid",
    "ollama",
    "api",
]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A router without a ledger is no product: it is there to show what the ledger costs."""

    kind: Kind
    has_ledger: bool = True
    is_tls: bool = False  # how it reaches the upstream

    @property
    def name(self) -> str:
        without = "" if self.has_ledger else ", no ledger"
        return f"{self.kind}{without}{', TLS' if self.is_tls else ''}"

    @property
    def rewrites(self) -> bool:
        """Whether what it answers is its own wording of what the upstream sent."""
        return self.kind == "LiteLLM"


DIRECT, FLOOR, NGINX = Entrant("direct"), Entrant("pass-through"), Entrant("nginx")
KEYWORDS, LOCAL = Entrant("keywords"), Entrant("local")
MODES = (KEYWORDS, LOCAL, Entrant("hybrid"), Entrant("ollama"), Entrant("api"))
ALONE, WORKERS = KEYWORDS, Entrant("2 workers")  # in the same mode
LITELLM = Entrant("LiteLLM")


def behind_tls(entrant: Entrant) -> Entrant:
    return replace(entrant, is_tls=True)


def without_ledger(entrant: Entrant) -> Entrant:
    return replace(entrant, has_ledger=False)


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs of others, where this machine has them."""

    nginx: str | None = None
    openssl: str | None = None
    litellm: str | None = None

    def can_run(self, entrant: Entrant) -> bool:
        if entrant.is_tls and not self.openssl:
            return False
        needed = {"nginx": self.nginx, "LiteLLM": self.litellm}
        return bool(needed.get(entrant.kind, "nothing"))


def tools_of_this_machine(litellm: Path | None = None) -> Tools:
    """Look for what may be installed; `litellm` is the command that somebody named."""
    sbin = "/usr/sbin:/usr/local/sbin"
    return Tools(
        nginx=shutil.which("nginx") or shutil.which("nginx", path=sbin),
        openssl=shutil.which("openssl"),
        litellm=str(litellm.absolute()) if litellm else None,
    )
