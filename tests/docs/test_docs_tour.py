"""What the README shows is run as it stands, against simulated providers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from tests.e2e.conftest import make_house, wait_until

from tollbook.sdk import runtime

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow
__all__ = ["make_house"]

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """Return the README's blocks of a language, in their order."""
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def settings() -> str:
    """Return the settings of the tour that do not concern real providers."""
    return "\n".join(block for block in blocks("toml") if "[providers." not in block)


class Reader:
    """Somebody who pastes what the README shows."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self._key = house.key("my-app")

    def pasted(self, block: str) -> str:
        """Return a block with this house's address and key in the place of those shown."""
        assert "tb_..." in block
        return block.replace("http://127.0.0.1:8080", self.house.url).replace("tb_...", self._key)

    def python(self, containing: str) -> dict[str, Any]:
        """Run the one Python block that has a text; return its names."""
        (block,) = [one for one in blocks("python") if containing in one]
        names: dict[str, Any] = {}
        exec(compile(self.pasted(block), str(README), "exec"), names)
        return names

    def bash(self, containing: str) -> dict[str, str]:
        """Run the one shell block that has a text; return the header lines that it prints."""
        (block,) = [one for one in blocks("bash") if containing in one]
        done = subprocess.run(
            ["bash", "-c", self.pasted(block)],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return dict(line.strip().split(": ", 1) for line in done.stdout.splitlines())


@pytest.fixture(autouse=True)
def sdk_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_current", None)


def _ask(names: dict[str, Any]) -> None:
    """Be a customer of the application that the README shows."""
    with TestClient(names["app"]) as web:
        answer = web.post("/ask", params={"question": "?"}, headers={"x-customer": "initech"})
        assert web.portal is not None
        web.portal.call(names["client"].close)
    assert answer.status_code == 200


@pytest.fixture
def reader(make_house: Callable[..., Any]) -> Reader:
    return Reader(make_house(settings=settings()))


def test_every_block_is_run_here() -> None:
    assert len(blocks("python")) == 4
    assert len(blocks("bash")) == 2
    assert {"[routes.small]", "[response_cache]", "[[budgets]]", "[[prices]]"} <= set(
        settings().split("\n")
    )


def test_what_the_readme_shows_works_and_is_booked(reader: Reader) -> None:
    with reader.python("support-chat")["client"]:
        pass
    with reader.python('model="small"')["client"]:
        pass
    _ask(reader.python("TollbookMiddleware"))
    told = reader.bash("x-tollbook-report")
    first, again = (reader.bash("x-tollbook-cache") for _ in range(2))
    names = reader.python("batches.create")
    with names["client"] as client:
        batch_id = names["batch"].id
        wait_until(lambda: client.batches.retrieve(batch_id).status == "completed")
        client.files.content(client.batches.retrieve(batch_id).output_file_id).read()
    reader.house.stop()

    assert (first["x-tollbook-cache"], again["x-tollbook-cache"]) == ("miss", "hit")
    booked = reader.house.records("SELECT * FROM entries WHERE metering = 'metered'")
    assert {(one["tenant_id"], one["feature"]) for one in booked} >= {
        ("acme", "support-chat"), ("initech", "search"),
    }  # fmt: skip
    assert [one["model_actual"] for one in booked if one["route"] == "small"] == [
        "gpt-4o-mini-2024-07-18"
    ]
    lines = [one for one in booked if one["custom_id"] is not None]
    assert sorted((one["tenant_id"], one["price_tier"]) for one in lines) == [
        ("acme", "batch"), ("globex", "batch"),
    ]  # fmt: skip
    by_id = {str(one["call_id"]): one for one in booked}
    assert str(by_id[told["x-tollbook-call-id"]]["cost_usd"]) == told["x-tollbook-cost-usd"]
    assert by_id[again["x-tollbook-call-id"]]["price_state"] == "cached"
    listed = reader.house.cli("calls", "--batch", "--format", "json")
    assert '"state": "booked"' in listed.stdout
