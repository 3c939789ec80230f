"""Settings from built-in defaults < config.toml < .env < environment, and what refuses a start."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr

from llm_router import platform
from llm_router.errors import DocumentError, SettingsError
from llm_router.routing import document
from llm_router.routing.config import RoutingConfig
from llm_router.settings import ADMIN_NAME, Settings
from llm_router.settings_sources import (
    KEYS,
    SECTIONS,
    Given,
    Source,
    overlaid,
    read_env_file,
    read_environment,
    read_toml,
)
from llm_router.settings_values import checked, is_loopback, is_secret

_SHORTEST_KEY = 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """`seed` fills an empty database; `sources` says where each setting that was given stands.

    `seed_file` is the file that adds to the built-in aliases and categories, if one does.
    `warnings` are sentences for the log: nothing in them stops a start.
    """

    settings: Settings
    seed: RoutingConfig
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    seed_file: Path | None = None


def load(
    *,
    config_file: Path | None = None,
    env_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    base_dir: Path = Path(),
    options: Mapping[str, object] = MappingProxyType({}),
) -> Loaded:
    """Read every source; raises SettingsError at the first thing that cannot be used.

    `config.toml` and `.env` in `base_dir` are read when they exist; files that are named must.
    `options` of the command line, by `section.key`, go before all of them.
    A missing API key is no fault here: `require_api_key` asks for it where it is needed.
    """
    toml = _existing(config_file, base_dir / "config.toml")
    dotenv = _existing(env_file, base_dir / ".env")
    layers = [
        *((path, read_toml(path)) for path in toml),
        *((path, read_env_file(path)) for path in dotenv),
        (None, read_environment(environ)),
    ]
    named = {key: Given(value, f"--{key.partition('.')[2]}") for key, value in options.items()}
    given = {**_in_force(layer for _, layer in layers), **named}
    with_secrets = [path for path, layer in layers if path and _has_secrets(layer)]
    doubts = [doubt for _, layer in layers for doubt in layer.doubts]
    seed_file, raw = next(
        ((p, layer.document) for p, layer in layers if layer.document), (None, {})
    )
    settings = _build(given)
    return Loaded(
        settings,
        _seed(seed_file, raw),
        {key: given[key].where for key in KEYS if key in given},
        (*doubts, *readable_by_others(with_secrets), *_short_keys(settings, given)),
        seed_file,
    )


def check_start(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse what cannot or must not be served; `serve` and `check-config` both ask.

    `sources` is that of `Loaded`: a refusal begins with the place of what it refuses.
    """
    check_workers(settings, sources)
    check_bind(settings, sources)


def check_workers(settings: Settings, sources: Mapping[str, str]) -> None:
    if settings.server.workers not in (1, "auto") and not platform.HAS_WORKERS:
        where = sources.get("server.workers", "server.workers")
        raise SettingsError(f"{where}: this system has one worker only; use 1 or auto.")


def check_bind(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse to listen beyond this machine without both an admin key and client keys."""
    server = settings.server
    keys = {"ROUTER_ADMIN_KEY": server.admin_key, "ROUTER_CLIENT_KEYS": server.client_keys}
    missing = [name for name, given in keys.items() if not given]
    if missing and not is_loopback(server.host):
        where = sources.get("server.host", "server.host")
        raise SettingsError(
            f"{where}: {server.host} can be reached from other machines, which takes an admin "
            f"key and client keys: set {' and '.join(missing)}, or listen on 127.0.0.1."
        )


def require_api_key(settings: Settings) -> SecretStr:
    """Return OpenRouter's key, or say where to put one and how to do without."""
    if settings.upstream.api_key is None:
        raise SettingsError(
            "OPENROUTER_API_KEY is not set. Put OPENROUTER_API_KEY=sk-or-... into .env or the "
            "environment (keys: https://openrouter.ai/settings/keys), or run `make demo`, which "
            "needs no key."
        )
    return settings.upstream.api_key


def readable_by_others(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return a warning for each file whose mode lets other users of the machine read it."""
    if sys.platform == "win32":  # where modes say nothing
        return ()
    return tuple(
        f"{path} can be read by other users of this machine; run: chmod 600 {path}"
        for path in paths
        if path.exists() and path.stat().st_mode & 0o077
    )


def _existing(named: Path | None, usual: Path) -> list[Path]:
    if named is not None:
        return [named]
    return [usual] if usual.exists() else []


def _in_force(layers: Iterable[Source]) -> Mapping[str, Given]:
    """Return what counts of every setting, after a look at what it overrides."""
    given: Mapping[str, Given] = {}
    for layer in layers:
        given = overlaid(given, layer.values)
        for key, value in layer.values.items():
            checked(key, value)  # it would stop the start on the day when the other one goes
    return given


def _has_secrets(layer: Source) -> bool:
    return any(is_secret(key) and value.value for key, value in layer.values.items())


def _build(given: Mapping[str, Given]) -> Settings:
    tree: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key, value in given.items():
        section, _, name = key.partition(".")
        tree[section][name] = checked(key, value)
    settings = Settings.model_validate(tree)
    _check_keys(settings, given)
    return settings


def _check_keys(settings: Settings, given: Mapping[str, Given]) -> None:
    admin, named = settings.server.admin_key, settings.server.named_client_keys()
    if len({*named.values()}) < len(settings.server.client_keys):
        where = given["server.client_keys"].where
        raise SettingsError(f"{where}: each client key and each name may stand there only once.")
    if ADMIN_NAME in named:
        where = given["server.client_keys"].where
        raise SettingsError(f"{where}: no client key may be called {ADMIN_NAME}.")
    if admin is not None and admin.get_secret_value() in named.values():
        raise SettingsError(
            f"{given['server.admin_key'].where}: the admin key is also a client key; every client "
            "could change the configuration with it."
        )


def _short_keys(settings: Settings, given: Mapping[str, Given]) -> Iterable[str]:
    """Yield a warning for each setting with a key that is short enough to be guessed."""
    admin, clients = settings.server.admin_key, settings.server.named_client_keys().values()
    for key, secrets in (
        ("server.admin_key", [admin.get_secret_value()] if admin else []),
        ("server.client_keys", clients),
    ):
        if any(len(secret) < _SHORTEST_KEY for secret in secrets):
            yield (
                f"{given[key].where}: a key of fewer than {_SHORTEST_KEY} characters can be "
                "guessed; `openssl rand -hex 32` makes one that cannot"
            )


def _seed(path: Path | None, raw: Mapping[str, Any]) -> RoutingConfig:
    try:
        return document.seed(raw)
    except DocumentError as exc:
        raise SettingsError(f"{path}, {exc}") from exc
