"""``name=value;name=value`` (or a flat JSON object) as the simulator's own headers carry it."""

from __future__ import annotations

import msgspec

PARAMS_MAX_BYTES = 2048


class BadParamsError(ValueError):
    """A simulator header that cannot be read."""


def parse_params(text: str, first_key: str | None = None) -> dict[str, str]:
    """Return the parameters in a header value.

    Args:
        text: ``a=1;b=2`` or ``{"a": 1, "b": 2}``.
        first_key: the name of a leading part without ``=`` (``cut;after=3``).

    Raises:
        BadParamsError: too long, no JSON object, or a part without ``=``.
    """
    if len(text) > PARAMS_MAX_BYTES:
        raise BadParamsError(f"longer than {PARAMS_MAX_BYTES} characters")
    if text.startswith("{"):
        try:
            fields = msgspec.json.decode(text, type=dict[str, str | int | bool | float])
        except msgspec.MsgspecError as error:
            raise BadParamsError(str(error)) from error
        return {key: str(value) for key, value in fields.items()}
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            found[name.strip()] = value.strip()
        elif name and first_key and first_key not in found:
            found[first_key] = name
        elif name:
            raise BadParamsError(f"{name!r} is not name=value")
    return found


def whole(params: dict[str, str], name: str, default: int, most: int) -> int:
    """Return a parameter as an integer from 0 to ``most``; BadParamsError otherwise."""
    value = params.get(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or int(value) > most:
        raise BadParamsError(f"{name} must be a whole number up to {most}")
    return int(value)
