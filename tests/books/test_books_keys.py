from __future__ import annotations

import hashlib
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook import clock
from tollbook.books import Books, open_books
from tollbook.books.errors import KeyInputError, KeyNotFoundError, LabelTakenError
from tollbook.books.events import list_events
from tollbook.books.keys import create_key, list_keys, revoke_key
from tollbook.books.records import KeyRecord, digest, new_secret
from tollbook.identity.claims import KeyBinding
from tollbook.identity.values import as_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with open_books(tmp_path) as books:
        yield books


def test_a_key_is_kept_with_its_binding(books: Books) -> None:
    later_ns = clock.unix_ns() + 10**12
    record, secret = create_key(
        books, label="acme prod", tenant_id="acme", user_id="u1", team_id="t1",
        cost_center="cc-7", feature="chat", environment="production",
        models=["gpt-5*", "claude-*", "gpt-5*"], expires_at_ns=later_ns, actor="ada",
    )  # fmt: skip
    assert re.fullmatch(r"tb_[0-9A-Za-z]{43}", secret)
    assert re.fullmatch(r"key_[0-9A-Za-z]{16}", record.api_key_id)
    assert list_keys(books) == [record]
    assert record.binding() == KeyBinding(
        api_key_id=record.api_key_id, tenant_id="acme", user_id="u1", team_id="t1",
        cost_center="cc-7", feature="chat", environment="production", expires_at_ns=later_ns,
        models=("gpt-5*", "claude-*"),
    )  # fmt: skip
    (event,) = list_events(books)
    assert (event.actor, event.action) == ("ada", "key.created")
    assert event.detail["label"] == "acme prod"
    assert event.detail["tenant_id"] == "acme"
    assert abs(event.at_ns - clock.unix_ns()) < 10**12


def test_secrets_are_random() -> None:
    secrets = {new_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    assert len({char for secret in secrets for char in secret[3:]}) == 62


def test_the_secret_is_nowhere_but_in_the_answer(books: Books, tmp_path: Path) -> None:
    record, secret = create_key(books, label="a", tenant_id="acme")
    revoke_key(books, "a")
    kept = [path.read_bytes() for path in tmp_path.iterdir()]
    assert any(hashlib.sha256(secret.encode()).digest() in data for data in kept)
    assert digest(secret) == hashlib.sha256(secret.encode()).digest()
    for data in kept:
        assert secret.encode() not in data
        assert secret[3:].encode() not in data
        assert secret[3:15].encode() not in data
    said = repr(record) + repr(list_keys(books)) + repr(list_events(books))
    assert secret[3:15] not in said


def test_a_label_names_one_key_for_ever(books: Books) -> None:
    first, _ = create_key(books, label="prod")
    revoke_key(books, "prod")
    with pytest.raises(LabelTakenError, match=f"label prod: already names {first.api_key_id}"):
        create_key(books, label="prod")
    assert len(list_keys(books)) == 1
    assert [event.action for event in list_events(books)] == ["key.revoked", "key.created"]


def test_revoking_is_for_good_and_can_be_repeated(books: Books) -> None:
    record, _ = create_key(books, label="a", actor="ada")
    revoked = revoke_key(books, record.api_key_id, actor="bob")
    assert revoked.revoked_at_ns is not None
    assert revoke_key(books, "a") == revoked
    assert list_keys(books) == [revoked]
    assert [(e.actor, e.action) for e in list_events(books, action="key.revoked")] == [
        ("bob", "key.revoked")
    ]
    with pytest.raises(KeyNotFoundError, match=r"nobody: no virtual key.*tollbook keys list"):
        revoke_key(books, "nobody")


def test_the_actor_is_the_user_unless_named(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    create_key(books, label="a")
    assert list_events(books)[0].actor == "grace"

    def no_user() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", no_user)
    create_key(books, label="b")
    assert list_events(books)[0].actor.startswith("uid ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"label": ""}, "label: is empty"),
        ({"tenant_id": '{"a":1}'}, "tenant_id: looks like JSON"),
        ({"user_id": "a\nb"}, "user_id: holds a character"),
        ({"team_id": "x" * 200}, "team_id: has 200 characters"),
        ({"environment": "a,b"}, "environment: holds a character"),
        ({"models": ["gpt 5"]}, "models: 'gpt 5' is not a pattern"),
        ({"models": [""]}, "models: '' is not a pattern"),
        ({"models": ["m"] * 101}, "models: at most 100 patterns"),
        ({"expires_at_ns": 5}, "expires_at: lies in the past"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_kept(
    books: Books, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(KeyInputError, match=re.escape(said)) as caught:
        create_key(books, **{"label": "ok"} | given)
    assert "\n" not in caught.value.message
    assert list_keys(books) == []
    assert list_events(books) == []


@given(values=st.lists(st.none() | st.text(max_size=20), min_size=6, max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_text_is_kept_as_an_id_or_refused(
    tmp_path_factory: pytest.TempPathFactory, values: list[str | None]
) -> None:
    names = ("tenant_id", "user_id", "team_id", "cost_center", "feature", "environment")
    bound: dict[str, Any] = dict(zip(names, values, strict=True))
    usable = {name: None if text is None else as_id(text) for name, text in bound.items()}
    with open_books(tmp_path_factory.mktemp("books")) as books:
        if any(bound[name] is not None and usable[name] is None for name in names):
            with pytest.raises(KeyInputError):
                create_key(books, label="k", **bound)
            assert list_keys(books) == []
        else:
            create_key(books, label="k", **bound)
            (record,) = list_keys(books)
            assert {name: getattr(record, name) for name in names} == usable


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE virtual_keys SET tenant_id = 'mallory'",
        "UPDATE virtual_keys SET expires_at_ns = 1",
        "UPDATE virtual_keys SET revoked_at_ns = NULL",
        "UPDATE virtual_keys SET revoked_at_ns = 5",
        "DELETE FROM virtual_keys",
        "INSERT OR REPLACE INTO virtual_keys SELECT * FROM virtual_keys",
    ],
)
def test_history_of_keys_does_not_change(books: Books, statement: str) -> None:
    create_key(books, label="a", tenant_id="acme")
    revoke_key(books, "a")
    before = list_keys(books)
    with pytest.raises(sa.exc.IntegrityError), books.write() as connection:
        connection.exec_driver_sql(statement)
    assert list_keys(books) == before


def test_a_transaction_that_fails_leaves_nothing(books: Books) -> None:
    add = "INSERT INTO events (at_ns, actor, action, detail) VALUES (1, 'a', 'b', ?)"

    def half() -> None:
        with books.write() as connection:
            connection.exec_driver_sql(add, ("{}",))
            connection.exec_driver_sql(add, (None,))

    with pytest.raises(sa.exc.IntegrityError):
        half()
    assert list_events(books) == []


def test_keys_made_by_several_processes_at_once(tmp_path: Path) -> None:
    open_books(tmp_path).close()
    script = (
        "import sys; from pathlib import Path\n"
        "from tollbook.books import open_books; from tollbook.books.keys import create_key\n"
        "with open_books(Path(sys.argv[1])) as books:\n"
        "    for number in range(20): create_key(books, label=f'{sys.argv[2]}-{number}')\n"
    )
    with ThreadPoolExecutor(3) as pool:
        done = list(
            pool.map(
                lambda name: subprocess.run(
                    [sys.executable, "-c", script, str(tmp_path), name],
                    capture_output=True,
                    check=False,
                ),
                "abc",
            )
        )
    assert [each.stderr for each in done] == [b""] * 3
    with open_books(tmp_path) as books:
        labels = {key.label for key in list_keys(books)}
        assert labels == {f"{name}-{number}" for name in "abc" for number in range(20)}
        assert len(list_events(books)) == 60


def test_the_file_can_be_read_by_sqlite_alone(books: Books, tmp_path: Path) -> None:
    record, _ = create_key(books, label="a", tenant_id="acme")
    connection = sqlite3.connect(tmp_path / "books.sqlite")
    rows = connection.execute("SELECT api_key_id, tenant_id, models FROM virtual_keys").fetchall()
    connection.close()
    assert rows == [(record.api_key_id, "acme", "[]")]
    assert isinstance(record, KeyRecord)
