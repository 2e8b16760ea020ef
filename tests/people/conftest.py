"""A console that the tests of one module share, and hashes that cost little."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from argon2 import PasswordHasher
from tests.people.people_kit import PASSWORD, People, people

from tollbook.desk.permits import Role
from tollbook.people import passwords
from tollbook.people.accounts import add_account

if TYPE_CHECKING:
    from collections.abc import Iterator


class Hashers(NamedTuple):
    """How passwords are hashed: for real, and in the tests."""

    real: PasswordHasher
    cheap: PasswordHasher


@pytest.fixture(scope="session", autouse=True)
def hashers() -> Iterator[Hashers]:
    """Hash with small parameters; one test looks at the real ones."""
    found = Hashers(passwords.HASHER, PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "HASHER", found.cheap)
        passwords._nobodys.cache_clear()
        yield found
    passwords._nobodys.cache_clear()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A console with the owner anna, who has a password."""
    with people(tmp_path_factory.mktemp("people")) as served:
        add_account(served.books, name="anna", role=Role.OWNER, password=PASSWORD, actor="test")
        yield served
