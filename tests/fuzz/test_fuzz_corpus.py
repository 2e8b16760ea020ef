"""The inputs that fuzzing has kept, and those that once broke something, hold what is promised."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fuzz.http_target import HttpTarget

from fuzz import meter_target

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).resolve().parents[2] / "fuzz" / "corpus"


@pytest.fixture(scope="module")
def gateway() -> Iterator[HttpTarget]:
    """Return a gateway in memory."""
    with contextlib.closing(HttpTarget()) as target:
        yield target


@pytest.mark.parametrize("path", sorted((CORPUS / "http").iterdir()), ids=lambda path: path.name)
def test_bytes_of_clients_and_providers(gateway: HttpTarget, path: Path) -> None:
    gateway(path.read_bytes())


@pytest.mark.parametrize("path", sorted((CORPUS / "meters").iterdir()), ids=lambda path: path.name)
def test_bodies_of_every_dialect(path: Path) -> None:
    meter_target.run(path.read_bytes())
