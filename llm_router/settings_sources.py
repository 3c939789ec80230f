"""Where settings are written down: config.toml, .env and the environment, read but not judged.

Each source becomes a mapping from `section.key` to what was given there and where exactly, so
that whoever finds a fault with a value can say in one sentence what to change.
"""

import io
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from llm_router.errors import SettingsError
from llm_router.routing.near import or_near
from llm_router.settings import Section, Settings

PREFIX = "LLM_ROUTER_"
DOCUMENT_KEYS = ("aliases", "categories")
SECTIONS: dict[str, type[Section]] = {name: type(section) for name, section in Settings()}
KEYS = tuple(f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields)
# The names that need no prefix; the first five are those of the original system.
SHORT_NAMES = {
    "OPENROUTER_API_KEY": "upstream.api_key",
    "ROUTING_MODE": "classifier.mode",
    "OLLAMA_BASE_URL": "ollama.base_url",
    "OLLAMA_ROUTER_MODEL": "ollama.model",
    "ROUTER_API_MODEL": "classifier.api_model",
    "OPENROUTER_BASE_URL": "upstream.base_url",
    "ROUTER_HOST": "server.host",
    "ROUTER_PORT": "server.port",
    "ROUTER_DB": "ledger.path",
    "ROUTER_ADMIN_KEY": "server.admin_key",
    "ROUTER_CLIENT_KEYS": "server.client_keys",
}

_OURS = ("OPENROUTER_", "ROUTER_", "ROUTING_")


def env_name(key: str) -> str:
    """Return `LLM_ROUTER_SECTION__KEY` for `section.key`."""
    return PREFIX + key.replace(".", "__").upper()


NAMES = {env_name(key): key for key in KEYS} | SHORT_NAMES


@dataclass(frozen=True, slots=True)
class Given:
    """`where` reads like `config.toml, [server] port`.

    `variable` is set for what comes from `.env` or the environment, where all values are text.
    """

    value: Any
    where: str
    variable: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """`document` holds the file's aliases and categories, which are not settings."""

    values: Mapping[str, Given]
    document: Mapping[str, Any]
    doubts: tuple[str, ...] = ()


def read_toml(path: Path) -> Source:
    try:
        tree = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(f"{path} is not valid TOML: {exc}.") from exc
    document = {name: tree.pop(name) for name in DOCUMENT_KEYS if name in tree}
    values = {}
    for section, entries in tree.items():
        if section not in SECTIONS:
            hint = or_near(section, SECTIONS)
            known = ", ".join([*SECTIONS, *DOCUMENT_KEYS])
            raise SettingsError(f"{path}, [{section}]: unknown section{hint} (there are {known})")
        if not isinstance(entries, dict):
            raise SettingsError(f"{path}, {section}: must be a section, written [{section}].")
        for key, value in entries.items():
            _known_key(path, section, key)
            # TOML has no null: an empty text stands for a value that is not set.
            if value != "" or SECTIONS[section].model_fields[key].default is not None:
                values[f"{section}.{key}"] = Given(value, f"{path}, [{section}] {key}")
    return Source(values, document)


def read_env_file(path: Path) -> Source:
    """Read `NAME=value` lines; nothing is expanded, so a `$` in a key stays one."""
    pairs = {}
    for binding in parse_stream(io.StringIO(_read(path))):
        if binding.error or (binding.key and binding.value is None):
            raise SettingsError(
                f"{path}, line {binding.original.line}: cannot be read; allowed are "
                'NAME=value, NAME="value" and # comments.'
            )
        if binding.key and binding.value is not None:
            pairs[binding.key] = binding.value
    return read_environment(pairs, place=str(path))


def read_environment(environ: Mapping[str, str], *, place: str = "environment") -> Source:
    """Pick our names; an empty value counts as not given."""
    values: dict[str, Given] = {}
    doubts = []
    for name, raw in environ.items():
        key, value = NAMES.get(name), raw.strip()
        if key is None:
            if name.startswith(PREFIX):
                raise SettingsError(
                    f"{place}, {name}: there is no such setting{or_near(name, NAMES)}"
                )
            # Perhaps mistyped, perhaps another program's: so only a doubt, and only when close.
            if name.startswith(_OURS) and (hint := or_near(name, SHORT_NAMES, least=0.85)):
                doubts.append(f"{place}, {name}: not a name of ours{hint}")
        elif value:
            values[key] = _agreeing(values.get(key), Given(value, f"{place}, {name}", name))
    return Source(values, {}, tuple(doubts))


def overlaid(lower: Mapping[str, Given], upper: Mapping[str, Given]) -> dict[str, Given]:
    """Return both with the upper one's values in force; SettingsError where names disagree.

    A variable of `.env` may be overridden by the same variable, and not by another name for it:
    whoever wrote one of the two would look for the other in vain.
    """
    return {**lower, **{key: _agreeing(lower.get(key), given) for key, given in upper.items()}}


def _agreeing(before: Given | None, given: Given) -> Given:
    if (
        before is not None
        and before.variable not in (None, given.variable)
        and before.value != given.value
    ):
        raise SettingsError(
            f"{before.where} and {given.where} are the same setting with different values; "
            "keep one of them."
        )
    return given


def _known_key(path: Path, section: str, key: str) -> None:
    known = list(SECTIONS[section].model_fields)
    if key not in known:
        raise SettingsError(
            f"{path}, [{section}] {key}: unknown key{or_near(key, known)} (there are "
            f"{', '.join(known)})"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise SettingsError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{path} is not UTF-8 text.") from exc
