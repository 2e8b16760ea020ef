"""A console that the tests of one module share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.people.people_kit import PASSWORD, People, people

from tollbook.desk.permits import Role
from tollbook.people.accounts import add_account

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A console with the owner anna, who has a password."""
    with people(tmp_path_factory.mktemp("people")) as served:
        add_account(served.books, name="anna", role=Role.OWNER, password=PASSWORD, actor="test")
        yield served
