"""Read ``tollbook.toml`` and the environment into a :class:`Config`."""

from __future__ import annotations

import difflib
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec

from tollbook.config.schema import Config, Provider, default_providers
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = "tollbook.toml"
ENV_PREFIX = "TOLLBOOK_"
_MAX_FILE_BYTES = 1024 * 1024
_PATH = re.compile(r"(?P<what>.*?) - at `\$(?P<path>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")


class ConfigError(TollbookError):
    """A setting that cannot be used: where it stands, what is wrong, what is expected."""

    def __init__(self, source: str, key: str, problem: str) -> None:
        self.source, self.key, self.problem = source, key, problem
        super().__init__(f"{source}: {key}: {problem}" if key else f"{source}: {problem}")


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the settings of a file (None: ``tollbook.toml`` here, if any) under the environment's.

    A relative ``store.dir`` is relative to the working directory.

    Raises:
        ConfigError: naming the file or variable, the key and the expected value.
    """
    source = str(path) if path else DEFAULT_FILE
    raw = _read_toml(Path(source), must_exist=path is not None)
    _name_unset_provider_parts(raw)
    merged, variables = raw, {}
    for variable, key_path, text in _settings_in(environ):
        merged = _with_setting(merged, key_path, text, variable)
        variables[".".join(key_path)] = variable
    try:
        return msgspec.convert(merged, Config)
    except msgspec.ValidationError as error:
        raise _explained(str(error), source, variables) from error


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
    defaults = default_providers()
    for name, provider in defaults.items():
        parts = given.setdefault(name, {})
        if isinstance(parts, dict):
            for part in ("dialect", "base_url", "api_key_env"):
                parts.setdefault(part, getattr(provider, part))


def _settings_in(environ: Mapping[str, str]) -> list[tuple[str, list[str], str]]:
    sections = set(Config.__struct_fields__)
    found = []
    for variable, text in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX) and "__" in variable:
            path = variable[len(ENV_PREFIX) :].lower().split("__")
            if path[0] not in sections:
                raise ConfigError(variable, path[0], _no_such(path[0], sections))
            if path[0] == "prices":
                raise ConfigError(variable, "prices", f"price cards belong in {DEFAULT_FILE}")
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
    node[path[-1]] = _typed(text)
    return merged


def _typed(text: str) -> object:
    """Read a variable's text as TOML would (numbers, booleans), else as a string."""
    try:
        value = tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, (int, bool, Decimal)) else text


def _explained(text: str, source: str, variables: Mapping[str, str]) -> ConfigError:
    match = _PATH.match(text)
    what, path = (match["what"], match["path"].lstrip(".")) if match else (text, "")
    unknown = _UNKNOWN.match(what)
    if unknown:
        name = unknown["name"]
        key = f"{path}.{name}" if path else name
        return ConfigError(variables.get(key, source), key, _no_such(name, _known_names(path)))
    what = what.replace("`", "")
    return ConfigError(variables.get(path, source), path, what[:1].lower() + what[1:])


def _known_names(path: str) -> set[str]:
    struct: Any = Config
    for part in re.findall(r"[a-z_]+|\[[^]]*\]", path):
        if struct is Config and part == "providers":
            struct = Provider
        elif part.startswith("["):
            continue
        else:
            hints = get_type_hints(struct)
            hint = hints.get(part)
            below = hint if hasattr(hint, "__struct_fields__") else next(iter(get_args(hint)), None)
            if below is None or not hasattr(below, "__struct_fields__"):
                break
            struct = below
    return set(struct.__struct_fields__)


def _no_such(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(sorted(known))}"
    return f"no such setting; {hint}"
