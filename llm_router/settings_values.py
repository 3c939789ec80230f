"""Whether one value will do, and in words, which ones would."""

import difflib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from llm_router.errors import SettingsError
from llm_router.settings_sources import SECTIONS, Given

_VISIBLE = re.compile(r"[\x21-\x7e]+")  # what a header can carry
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def checked(key: str, given: Given) -> Any:
    """Return the value as its section holds it, or raise SettingsError without repeating it."""
    section, _, name = key.partition(".")
    model, field = SECTIONS[section], _field(key)
    try:
        if given.variable is not None:
            value = getattr(model.model_validate({name: _from_text(field, given.value)}), name)
        else:
            # As strict JSON, so that `true` is no number and "1" is no integer.
            text = json.dumps({name: given.value}, default=lambda _: {})
            value = getattr(model.model_validate_json(text, strict=True), name)
        return _CHECKS[key](value) if key in _CHECKS else value
    except (ValidationError, ValueError):
        hint = _near_choice(field, given.value)
        raise SettingsError(f"{given.where}: must be {allowed(key)}{hint}") from None


def allowed(key: str) -> str:
    """Say which values `section.key` takes."""
    return _WORDS.get(key) or _describe(_field(key))


def is_secret(key: str) -> bool:
    annotation = _field(key).annotation
    return SecretStr in (annotation, *get_args(annotation))


def is_loopback(host: str) -> bool:
    """Return whether listening there is out of other machines' reach."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_private(host: str) -> bool:
    """Return whether a host stays on this machine or a private network, by its address or name."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES)


def _field(key: str) -> FieldInfo:
    section, _, name = key.partition(".")
    return SECTIONS[section].model_fields[name]


def _from_text(field: FieldInfo, text: str) -> str | list[str]:
    if get_origin(field.annotation) is not tuple:
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _near_choice(field: FieldInfo, value: object) -> str:
    if get_origin(field.annotation) is not Literal:
        return "."
    near = difflib.get_close_matches(str(value).lower(), get_args(field.annotation), n=1)
    return f"; did you mean {near[0]}?" if near else "."


def _describe(field: FieldInfo) -> str:
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        *most, last = get_args(annotation)
        return f"{', '.join(most)} or {last}"
    if get_origin(annotation) is tuple:
        return "a list of texts (in the environment: separated by commas)"
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        kind = "a whole number" if annotation is int else "a number"
        limits = {
            bound: f"{getattr(rule, bound):.0f}"
            for rule in field.metadata
            for bound in ("ge", "gt", "le")
            if hasattr(rule, bound)
        }
        low = f"from {limits['ge']}" if "ge" in limits else f"above {limits['gt']} and up"
        return f"{kind} {low} to {limits['le']}"
    return "text, not empty"


def _url(value: str) -> str:
    parts = urlsplit(value)
    _ = parts.port  # raises ValueError when it is none
    extras = parts.username or parts.password or parts.query or parts.fragment
    schemes = ("http", "https") if is_private(parts.hostname or "") else ("https",)
    if extras or not parts.hostname or parts.scheme not in schemes or not _VISIBLE.fullmatch(value):
        raise ValueError
    return value.rstrip("/")


def _base_url(value: str) -> str:
    url = _url(value)
    if url.endswith("/chat/completions"):
        raise ValueError
    return url


def _path(value: Path) -> Path:
    if not value.name:
        raise ValueError
    return value


def _visible(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise ValueError
    return value


def _host(value: str) -> str:
    """Take the brackets off an IPv6 address, which only addresses of pages need."""
    host = _visible(value)
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _secret(value: SecretStr) -> SecretStr:
    key = _visible(value.get_secret_value())
    # `docker run --env-file` takes quotes for a part of the value.
    if key[0] == key[-1] and key[0] in "\"'":
        raise ValueError
    return value


def _secrets(values: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    return tuple(map(_secret, values))


# What types and bounds do not say: each returns the value in force, or raises ValueError.
_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "server.host": _host,
    "server.admin_key": _secret,
    "server.client_keys": _secrets,
    "upstream.api_key": _secret,
    "upstream.base_url": _base_url,
    "ollama.base_url": _url,
    "ledger.path": _path,
}
_URL_WORDS = (
    "an http:// or https:// address without user name, password, ? and #; plain http only to "
    "this machine or a private network"
)
_KEY_WORDS = "a key of visible ASCII characters, without spaces and without quotes around it"
_WORDS = {
    "server.host": "a host name or address, like 127.0.0.1",
    "server.workers": "a whole number from 1 to 256, or auto",
    "server.allowed_hosts": "a list of host names, like router.example.org (in the environment: "
    "separated by commas)",
    "server.admin_key": _KEY_WORDS,
    "server.client_keys": "a list of keys of visible ASCII characters, without spaces and "
    "without quotes around them",
    "upstream.api_key": _KEY_WORDS,
    "upstream.base_url": f"{_URL_WORDS}; what comes before /chat/completions",
    "ollama.base_url": _URL_WORDS,
    "ledger.path": "the name of a file",
}
