"""The inputs that fuzzing has kept, and those that once broke something, hold what is promised."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import meter_target
from fuzz.http_target import HttpTarget

CORPUS = Path(__file__).resolve().parents[2] / "fuzz" / "corpus"


@pytest.fixture(scope="module")
def gateway() -> HttpTarget:
    """Return a gateway in memory."""
    return HttpTarget()


@pytest.mark.parametrize("path", sorted((CORPUS / "http").iterdir()), ids=lambda path: path.name)
def test_bytes_of_clients_and_providers(gateway: HttpTarget, path: Path) -> None:
    gateway(path.read_bytes())


@pytest.mark.parametrize("path", sorted((CORPUS / "meters").iterdir()), ids=lambda path: path.name)
def test_bodies_of_every_dialect(path: Path) -> None:
    meter_target.run(path.read_bytes())
