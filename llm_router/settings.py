"""Every setting, its default and its bounds, as one frozen tree.

`settings_load.py` fills it from config.toml, .env and the environment.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr

ADMIN_NAME = "admin"  # what the ledger calls whoever has the admin key
_NAMED_KEY = re.compile(r"([a-z0-9][a-z0-9_-]{0,31}):(.+)", re.DOTALL)

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Mode = Literal["keywords", "local", "ollama", "api", "hybrid"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ServerSettings(Section):
    host: str = "127.0.0.1"
    port: Port = 3456
    max_body_mb: Annotated[int, Field(ge=1, le=1024)] = 64
    keepalive_s: Seconds = 15
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 30
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    allowed_hosts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]+$")], ...] = ()
    admin_key: SecretStr | None = None
    client_keys: tuple[SecretStr, ...] = ()

    def named_client_keys(self) -> dict[str, str]:
        """Return name → key. `laptop:sk-…` names itself; a bare key is named by its fingerprint."""
        named = {}
        for entry in self.client_keys:
            secret = entry.get_secret_value()
            if match := _NAMED_KEY.fullmatch(secret):
                named[match[1]] = match[2]
            else:
                named["key-" + hashlib.sha256(secret.encode()).hexdigest()[:8]] = secret
        return named


class DeadlineSettings(Section):
    connect_s: Seconds = 5
    first_event_s: Seconds = 60
    idle_s: Seconds = 120
    chain_s: Seconds = 90
    total_s: Seconds = 1800
    header_s: Seconds = 10
    body_s: Seconds = 60
    write_s: Seconds = 30
    connection_idle_s: Seconds = 75


class BreakerSettings(Section):
    failures: Annotated[int, Field(ge=1, le=1000)] = 3
    open_s: Seconds = 300


class ClassifierSettings(Section):
    mode: Mode = "hybrid"
    budget_ms: Annotated[int, Field(ge=1, le=60_000)] = 800
    api_model: Annotated[str, Field(min_length=1)] = "qwen/qwen3-1.7b"
    tools: Literal["category", "capability"] = "category"
    sticky: Literal["off", "session"] = "off"
    shadow: Literal["off", "keywords", "local", "ollama"] = "off"

    @property
    def models(self) -> tuple[str, ...]:
        """The models at OpenRouter that this mode may ask: ids or aliases."""
        return (self.api_model,) if self.mode in ("api", "hybrid") else ()


class ModelSettings(Section):
    direct: bool = True
    refresh_s: Seconds = 3600


class UpstreamSettings(Section):
    base_url: str = "https://openrouter.ai/api/v1"
    api_key: SecretStr | None = None
    provider_field: Literal["pass", "drop"] = "pass"
    models_field: Literal["drop", "pass"] = "drop"


class OllamaSettings(Section):
    base_url: str = "http://127.0.0.1:11434"
    model: Annotated[str, Field(min_length=1)] = "qwen2.5:0.5b"


class LedgerSettings(Section):
    path: Path = Path("router.db")
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    sync_s: Annotated[float, Field(ge=0, le=60)] = 1
    store_text: bool = False
    text_days: Annotated[int, Field(ge=1, le=36_500)] = 30

    @property
    def journals(self) -> Path:
        """The folder of journal segments: `router.db-journals` beside the database."""
        return self.path.with_name(self.path.name + "-journals")


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(Section):
    server: ServerSettings = ServerSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    breaker: BreakerSettings = BreakerSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    models: ModelSettings = ModelSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    ollama: OllamaSettings = OllamaSettings()
    ledger: LedgerSettings = LedgerSettings()
    log: LogSettings = LogSettings()

    def at_hand(self) -> "Settings":
        """Return what reads like this tree at a third of the time, for every request does so."""
        return cast("Settings", _AtHand(self))


class _AtHand:
    """The values of a model, which looks up each attribute by way of a hook, as plain ones."""

    def __init__(self, section: Section) -> None:
        for name, value in section:
            setattr(self, name, _AtHand(value) if isinstance(value, Section) else value)
