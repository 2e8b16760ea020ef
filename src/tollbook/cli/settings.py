"""The settings in force, each with where its value comes from; never a secret."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.config.load import DEFAULT_FILE, ENV_PREFIX
from tollbook.config.schema import known_providers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from tollbook.config import Config

_KNOWN: Final = frozenset(known_providers())
_USERINFO: Final = re.compile(r"(?<=://)[^/@]*@")


def settings_with_origin(
    config: Config, config_path: Path | None, environ: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return ``key``, ``value`` and ``origin`` of every setting.

    The origin is the variable, the file, or ``default``. Of a known provider that nothing sets,
    there is its ``base_url`` only: the rest says nothing.
    """
    file = str(config_path or DEFAULT_FILE)
    try:
        with open(file, "rb") as source:  # noqa: PTH123 -- a name as given, for the answer too
            given: Any = tomllib.load(source)
    except FileNotFoundError:
        given = {}
    variables = {
        name[len(ENV_PREFIX) :].lower().replace("__", "."): name
        for name in environ
        if name.startswith(ENV_PREFIX) and "__" in name
    }
    named = {*given.get("providers", {}), *(key.split(".")[1] for key in variables if "." in key)}
    return [
        {
            "key": key,
            "value": _shown(value),
            "origin": variables.get(key) or (file if _is_in(given, key) else "default"),
        }
        for key, value in _flat(msgspec.to_builtins(config), "")
        if _says_something(key, named)
    ]


def _says_something(key: str, named: Collection[str]) -> bool:
    section, _, rest = key.partition(".")
    if section != "providers":
        return True
    name, _, setting = rest.partition(".")
    return name in named or name not in _KNOWN or setting == "base_url"


def _flat(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for name, below in node.items():
            yield from _flat(below, f"{prefix}.{name}" if prefix else name)
    elif prefix.endswith(".api_key_command") and node:
        yield prefix, [node[0], *["..."] * (len(node) > 1)]  # arguments may be private
    elif prefix.endswith(".api_keys"):
        yield prefix, f"{len(node)} key(s)"
    elif prefix == "prices":
        yield prefix, f"{len(node)} card(s)"
    else:
        yield prefix, node


def _is_in(given: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(given, dict) or part not in given:
            return False
        given = given[part]
    return True


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _USERINFO.sub("***@", str(value))
