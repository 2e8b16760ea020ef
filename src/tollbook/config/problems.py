"""Say what is wrong with a setting: where it stands, under which key, what is expected there."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from tollbook.config.schema import Config
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PATH = re.compile(r"(?P<what>.*) - at (?P<is_key>`key` in )?`\$(?P<path>.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_PART = re.compile(r"[^.\[\]]+|\[[^]]*\]")
_KEY = "{key}"
"""Path part for the keys of a table, rather than what stands under them."""
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}


class ConfigError(TollbookError):
    """A setting that cannot be used: where it stands, what is wrong, what is expected."""

    def __init__(self, source: str, key: str, problem: str) -> None:
        self.source, self.key, self.problem = source, key, problem
        super().__init__(f"{source}: {key}: {problem}" if key else f"{source}: {problem}")


def explained(
    error: msgspec.ValidationError,
    settings: Mapping[str, Any],
    source: str,
    variables: Mapping[str, str],
) -> ConfigError:
    """Turn what msgspec says into an error for the person who wrote the setting.

    Args:
        error: From converting the settings.
        settings: What was converted.
        source: The file.
        variables: The environment variable behind each key that came from one.
    """
    match = _PATH.fullmatch(str(error))
    what, path = (match["what"], match["path"].lstrip(".")) if match else (str(error), "")
    key = _shown(path, settings)
    problem = _problem(what, f"{path}.{_KEY}" if match and match["is_key"] else path)
    for pattern in (_UNKNOWN, _MISSING):
        if named := pattern.fullmatch(what):
            key = f"{key}.{named['name']}".lstrip(".")
            inner = f"{path}.{named['name']}".lstrip(".")
            problem = (
                no_such(named["name"], names_at(path))
                if pattern is _UNKNOWN
                else f"is missing; {_problem('', inner)}"
            )
    return ConfigError(variables.get(key, source), key, problem)


def no_such(name: str, known: Collection[str]) -> str:
    """Return the complaint about an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(sorted(known))}"
    return f"no such setting; {hint}"


def names_at(path: str) -> set[str]:
    """Return the settings that a section may have."""
    kind, _ = _kind_at(path)
    return {field.name for field in kind.fields} if isinstance(kind, inspect.StructType) else set()


def is_text(path: str) -> bool:
    """Whether a setting holds text, so that ``2026`` there is no number."""
    kind, _ = _kind_at(path)
    return isinstance(kind, (inspect.StrType, inspect.LiteralType))


def _problem(what: str, path: str) -> str:
    kind, description = _kind_at(path)
    if isinstance(kind, inspect.LiteralType):
        return f"expected one of {', '.join(str(value) for value in kind.values)}"
    if description:
        return f"expected {description}"
    if isinstance(kind, inspect.DecimalType):
        return "expected a decimal number"
    if not what:
        return f"expected {_WORDS['str'] if isinstance(kind, inspect.StrType) else 'a value'}"
    text = re.sub(r"`(\w+)`", lambda word: _WORDS.get(word[1], word[1]), what)
    text = re.sub(r"\.0$", "", text)
    return text[:1].lower() + text[1:]


def _kind_at(path: str) -> tuple[inspect.Type | None, str | None]:
    """Return the type of a setting and its description in the schema."""
    kind, description = _bare(inspect.type_info(Config))
    for part in _PART.findall(path):
        below: inspect.Type | None = None
        if isinstance(kind, inspect.DictType):
            below = kind.key_type if part == _KEY else kind.value_type
        elif isinstance(kind, inspect.ListType):
            below = kind.item_type
        elif isinstance(kind, inspect.StructType):
            below = next((field.type for field in kind.fields if field.name == part), None)
        if below is None:
            return None, None
        kind, description = _bare(below)
    return kind, description


def _bare(kind: inspect.Type) -> tuple[inspect.Type, str | None]:
    """Take off what wraps a type: a description, and the None of an optional setting."""
    description = None
    while isinstance(kind, (inspect.Metadata, inspect.UnionType)):
        if isinstance(kind, inspect.Metadata):
            description = (kind.extra_json_schema or {}).get("description", description)
            kind = kind.type
        else:
            kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind, description


def _shown(path: str, settings: Mapping[str, Any]) -> str:
    """Name the provider, the route and the card's model, which msgspec leaves out of its path."""
    for section in ("providers", "routes"):
        if re.match(rf"{section}(\[|$)", path) and isinstance(settings[section], dict):
            name = _refused_name(section, settings[section])
            return f"{section}.{name}{path.removeprefix(section).removeprefix('[...]')}"
    if match := re.match(r"prices\[(\d+)\]", path):
        card = settings["prices"][int(match[1])]
        if isinstance(card, dict) and isinstance(card.get("model"), str):
            return f"{match[0]} (model {card['model']}){path[match.end() :]}"
    return path


def _refused_name(section: str, tables: Mapping[str, Any]) -> str:
    for name, table in tables.items():
        try:
            msgspec.convert({section: {name: table}}, Config)
        except msgspec.ValidationError:
            return name
    return ""
