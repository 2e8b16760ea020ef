"""Create, list and revoke virtual keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa

from tollbook import clock
from tollbook.books.errors import KeyInputError, KeyNotFoundError, LabelTakenError
from tollbook.books.events import add_event
from tollbook.books.records import BINDING_FIELDS, KeyRecord, digest, new_key_id, new_secret
from tollbook.books.tables import virtual_keys
from tollbook.identity.values import as_id, why_not_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.books.store import Books

MAX_MODEL_PATTERNS: Final = 100
_is_model_pattern = re.compile(r"[!-~]{1,200}").fullmatch
_COLUMNS: Final = [column for column in virtual_keys.columns if column.name != "secret_sha256"]


def create_key(
    books: Books,
    *,
    label: str,
    tenant_id: str | None = None,
    user_id: str | None = None,
    team_id: str | None = None,
    cost_center: str | None = None,
    feature: str | None = None,
    environment: str | None = None,
    models: Sequence[str] = (),
    expires_at_ns: int | None = None,
    actor: str | None = None,
) -> tuple[KeyRecord, str]:
    """Create a virtual key and return it with its secret, which is shown this once.

    Args:
        books: where it is kept.
        label: what people call it; unique among all keys there ever were.
        tenant_id: what calls with the key are booked to; so are the five that follow.
        user_id: see ``tenant_id``.
        team_id: see ``tenant_id``.
        cost_center: see ``tenant_id``.
        feature: see ``tenant_id``.
        environment: see ``tenant_id``.
        models: patterns (``*`` and ``?``) of the models it may use; none for all.
        expires_at_ns: first moment it is no longer valid (epoch, UTC).
        actor: who creates it, for the audit trail; None for the user of this process.

    Raises:
        KeyInputError: a value cannot be used.
        LabelTakenError: another key has the label.
        BooksError: the books cannot be written.
    """
    now_ns = clock.unix_ns()
    given = {
        "tenant_id": tenant_id,
        "user_id": user_id,
        "team_id": team_id,
        "cost_center": cost_center,
        "feature": feature,
        "environment": environment,
    }
    if expires_at_ns is not None and expires_at_ns <= now_ns:
        raise KeyInputError("expires_at", "lies in the past; give a later moment")
    binding = {
        field: None if value is None else _checked(field, value) for field, value in given.items()
    }
    record = KeyRecord(
        api_key_id=new_key_id(),
        label=_checked("label", label),
        models=_checked_models(models),
        created_at_ns=now_ns,
        expires_at_ns=expires_at_ns,
    )
    record = msgspec.structs.replace(record, **binding)
    secret = new_secret()
    row = msgspec.structs.asdict(record) | {
        "models": msgspec.json.encode(record.models).decode(),
        "secret_sha256": digest(secret),
    }
    with books.write() as connection:
        taken = _find(connection, virtual_keys.c.label == record.label)
        if taken is not None:
            raise LabelTakenError(record.label, taken.api_key_id)
        connection.execute(virtual_keys.insert().values(row))
        detail = {"api_key_id": record.api_key_id, "label": record.label}
        detail |= {field: row[field] for field in BINDING_FIELDS if row[field] is not None}
        add_event(connection, actor=actor, action="key.created", detail=detail)
    return record, secret


def list_keys(books: Books) -> list[KeyRecord]:
    """Return all keys there ever were, oldest first.

    Raises:
        BooksError: the books cannot be read.
    """
    query = sa.select(*_COLUMNS).order_by(virtual_keys.c.created_at_ns, virtual_keys.c.api_key_id)
    with books.read() as connection:
        return [_record(row) for row in connection.execute(query).mappings()]


def revoke_key(books: Books, name: str, *, actor: str | None = None) -> KeyRecord:
    """Revoke the key with this id or label for good; a second time changes nothing.

    Raises:
        KeyNotFoundError: there is no such key.
        BooksError: the books cannot be written.
    """
    with books.write() as connection:
        record = _find(connection, virtual_keys.c.api_key_id == name)
        if record is None:
            record = _find(connection, virtual_keys.c.label == name)
        if record is None:
            raise KeyNotFoundError(name)
        if record.revoked_at_ns is not None:
            return record
        revoked = msgspec.structs.replace(record, revoked_at_ns=clock.unix_ns())
        connection.execute(
            virtual_keys.update()
            .where(virtual_keys.c.api_key_id == record.api_key_id)
            .values(revoked_at_ns=revoked.revoked_at_ns)
        )
        detail = {"api_key_id": record.api_key_id, "label": record.label}
        add_event(connection, actor=actor, action="key.revoked", detail=detail)
    return revoked


def _find(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> KeyRecord | None:
    row = connection.execute(sa.select(*_COLUMNS).where(condition)).mappings().first()
    return None if row is None else _record(row)


def _record(row: sa.RowMapping) -> KeyRecord:
    values: dict[str, Any] = dict(row)
    values["models"] = tuple(msgspec.json.decode(values["models"], type=list[str]))
    return KeyRecord(**values)


def _checked(field: str, value: str) -> str:
    text = as_id(value)
    if text is None:
        raise KeyInputError(field, f"{why_not_id(value)}; give an id such as acme-corp")
    return text


def _checked_models(models: Sequence[str]) -> tuple[str, ...]:
    if len(models) > MAX_MODEL_PATTERNS:
        raise KeyInputError("models", f"at most {MAX_MODEL_PATTERNS} patterns; use * and ?")
    for pattern in models:
        if not _is_model_pattern(pattern):
            raise KeyInputError("models", f"{pattern[:40]!r} is not a pattern such as gpt-5*")
    return tuple(dict.fromkeys(models))
