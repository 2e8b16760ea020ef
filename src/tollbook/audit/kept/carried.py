"""Identity that a span shows as baggage or as headers of a request, beside its own attributes.

Instrumentations capture request headers where they are told to
(``http.request.header.<name>``, a list of texts; OpenTelemetry HTTP conventions), and some copy
baggage under ``baggage.``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.audit.kept.owner_names import free_field, habit_of
from tollbook.audit.kept.owner_values import WIDE, is_placeholder, named_by
from tollbook.identity.baggage import MAX_BYTES, read_baggage
from tollbook.identity.claims import Mechanism
from tollbook.identity.names import BAGGAGE_KEYS
from tollbook.identity.values import ClaimsBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEADERS: Final = (
    "http.request.header.", "rpc.grpc.request.metadata.", "rpc.request.metadata.",
    "messaging.message.header.", "messaging.kafka.header.", "messaging.header.",
)  # fmt: skip
_BAGGAGE: Final = "baggage."
_TRIMMED: Final = ("x-tollbook-", "helicone-property-", "x-litellm-", "x-")
_VALUES_MAX: Final = 8
_TEXT_MAX_CHARS: Final = 2 * MAX_BYTES


def carried(attributes: Mapping[str, Any], names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return what travels: the name of a header or ``baggage:key`` to the field and its value.

    Args:
        attributes: of the span.
        names: those among them that show baggage, headers or metadata of a request.
    """
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        texts = _texts(attributes[name])
        if name.startswith(_BAGGAGE):
            _put(found, f"baggage:{name[len(_BAGGAGE) :]}", _meant(name[len(_BAGGAGE) :]), texts)
            continue
        for prefix in _HEADERS:
            if name.startswith(prefix):
                header = name[len(prefix) :].lower().replace("_", "-")
                if header == "baggage":
                    _put_baggage(found, texts)
                else:
                    _put(found, header, _of_header(header), texts)
                break
    return found


def _put(found: dict[str, tuple[str, str]], name: str, field: str | None, texts: list[str]) -> None:
    if field is None or not texts:
        return
    value = named_by(field, texts[0][:512]).value
    if value is not None:
        found[name[:128]] = (field, value)


def _put_baggage(found: dict[str, tuple[str, str]], texts: list[str]) -> None:
    builder = ClaimsBuilder(Mechanism.SPAN)
    read_baggage(builder, [one.encode("utf-8", "replace")[: MAX_BYTES + 1] for one in texts])
    for field, value in builder.fields.items():
        if field not in WIDE or not is_placeholder(value):
            found[f"baggage:{field}"] = (field, value)
    for tag, value in builder.tags.items():
        _put(found, f"baggage:{tag}", _meant(tag), [value])


def _meant(key: str) -> str | None:
    return BAGGAGE_KEYS.get(key) or habit_of(key)


def _of_header(header: str) -> str | None:
    for prefix in _TRIMMED:
        if header.startswith(prefix):
            return free_field(header[len(prefix) :])
    field = free_field(header)
    # Plain words such as "environment" or "user" are headers of many things.
    return field if field in {"tenant_id", "user_id", "team_id"} and "-" in header else None


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value[:_TEXT_MAX_CHARS]] if value else []
    if isinstance(value, list):
        return [
            one[:_TEXT_MAX_CHARS] for one in value[:_VALUES_MAX] if isinstance(one, str) and one
        ]
    return []
