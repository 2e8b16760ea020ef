"""What a command finds of a ledger that announced itself, whole or damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tollbook.console.auth import (
    ADDRESS_FILE,
    TOKEN_FILE,
    Address,
    AnnouncementError,
    announce,
    read_announcement,
)

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = Address("127.0.0.1", 8081, 1)


def test_an_announcement_comes_back(tmp_path: Path) -> None:
    assert read_announcement(tmp_path) is None

    announce(tmp_path, "abc", ADDRESS)

    assert read_announcement(tmp_path) == (ADDRESS, "abc")


def test_a_token_saved_by_an_editor_is_the_same_token(tmp_path: Path) -> None:
    announce(tmp_path, "abc\n", ADDRESS)

    assert read_announcement(tmp_path) == (ADDRESS, "abc")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (TOKEN_FILE, b"\xff\xfe"),
        (TOKEN_FILE, b"a\nb"),
        (TOKEN_FILE, b"a\x00b"),
        (ADDRESS_FILE, b"{"),
        (ADDRESS_FILE, b'{"host": "x", "port": "y", "pid": 1}'),
    ],
)
def test_damage_names_the_file_and_what_to_do(tmp_path: Path, name: str, content: bytes) -> None:
    announce(tmp_path, "abc", ADDRESS)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(AnnouncementError) as caught:
        read_announcement(tmp_path)

    assert caught.value.message.startswith(str(tmp_path / name))
    assert "restart tollbook up" in caught.value.message
