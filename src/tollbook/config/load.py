"""Read ``tollbook.toml`` and the environment into a :class:`Config`."""

from __future__ import annotations

import tomllib
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.config.problems import ConfigError, explained, is_text, names_at, no_such
from tollbook.config.route_checks import check_routes
from tollbook.config.schema import Config, default_providers, known_providers

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = "tollbook.toml"
ENV_PREFIX = "TOLLBOOK_"
_LISTS = {"prices": "price cards", "budgets": "budgets"}
_COMPLETED = ("dialect", "base_url", "api_key_env", "list_prices", "inject_stream_usage")
"""What a section for a known provider need not repeat."""
_MAX_FILE_BYTES = 1024 * 1024


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the settings of a file (None: ``tollbook.toml`` here, if any) under the environment's.

    A relative ``store.dir`` is relative to the working directory.

    Raises:
        ConfigError: naming the file or variable, the key and the expected value.
    """
    source = str(path) if path else DEFAULT_FILE
    raw = _read_toml(Path(source), must_exist=path is not None)
    _name_unset_provider_parts(raw)
    _write_out_dates(raw)
    merged, variables = raw, {}
    for variable, key_path, text in _settings_in(environ):
        merged = _with_setting(merged, key_path, text, variable)
        variables[".".join(key_path)] = variable
    _name_unset_provider_parts(merged)  # a variable may name a known provider that no section does
    try:
        config = msgspec.convert(merged, Config)
    except msgspec.ValidationError as error:
        raise explained(error, merged, source, variables) from error
    check_routes(config, source)
    return config


def _read_toml(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        if must_exist:
            raise ConfigError(str(path), "", "no such file") from error
        return {}
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from error
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigError(str(path), "", f"is larger than {_MAX_FILE_BYTES} bytes")
    try:
        # Decimal keeps a price such as 0.075 exact; a float would not.
        return tomllib.loads(data.decode(), parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), "", f"is not valid TOML: {error}") from error


def _name_unset_provider_parts(raw: dict[str, Any]) -> None:
    """Complete ``[providers.openai]`` and the like from their defaults, and keep the others."""
    given = raw.get("providers")
    if given is None or not isinstance(given, dict):
        return
    for name in default_providers():
        given.setdefault(name, {})
    for name, provider in known_providers().items():
        parts = given.get(name)
        if isinstance(parts, dict):
            for part in _COMPLETED:
                parts.setdefault(part, getattr(provider, part))
            if provider.default and not _names_default(given, provider.dialect):
                parts.setdefault("default", True)


def _names_default(given: dict[str, Any], dialect: str) -> bool:
    """Whether a provider that speaks a dialect is the default by its own settings."""
    return any(
        isinstance(parts, dict) and parts.get("default") and parts.get("dialect") == dialect
        for parts in given.values()
    )


def _write_out_dates(raw: dict[str, Any]) -> None:
    """Accept ``effective_from = 2026-11-01`` as TOML's own date beside the quoted text."""
    cards = raw.get("prices")
    for card in cards if isinstance(cards, list) else ():
        for key, value in card.items() if isinstance(card, dict) else ():
            if isinstance(value, (date, time)):
                card[key] = value.isoformat()


def _settings_in(environ: Mapping[str, str]) -> list[tuple[str, list[str], str]]:
    sections = names_at("")
    found = []
    for variable, text in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX) and "__" in variable:
            path = variable[len(ENV_PREFIX) :].lower().split("__")
            if path[0] not in sections:
                raise ConfigError(variable, path[0], no_such(path[0], sections))
            if path[0] in _LISTS:
                raise ConfigError(variable, path[0], f"{_LISTS[path[0]]} belong in {DEFAULT_FILE}")
            found.append((variable, path, text))
    return found


def _with_setting(raw: dict[str, Any], path: list[str], text: str, variable: str) -> dict[str, Any]:
    merged = dict(raw)
    if path[0] == "providers" and "providers" not in merged:
        merged["providers"] = {}
        _name_unset_provider_parts(merged)
    node = merged
    for part in path[:-1]:
        below = node.get(part, {})
        if not isinstance(below, dict):
            raise ConfigError(variable, ".".join(path), f"{part} is a value, not a section")
        node[part] = dict(below)
        node = node[part]
    node[path[-1]] = text if is_text(".".join(path)) else _typed(text)
    return merged


def _typed(text: str) -> object:
    """Read a variable's text as TOML would (numbers, booleans, lists, tables), else as text."""
    try:
        value = tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, (int, bool, Decimal, list, dict)) else text
