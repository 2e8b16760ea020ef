"""Keys from a file and a command, and tags, with real processes and the official client."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import openai

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import House

KEY = "sk-sim-provider"  # the only one that the simulator takes


def test_a_key_file_a_key_command_and_tags(
    make_house: Callable[..., House], tmp_path: Path
) -> None:
    path = tmp_path / "provider-key"
    path.write_text(KEY)
    command = json.dumps([sys.executable, "-c", f"print({KEY!r})"])
    settings = f"""
[identity]
pseudonym_secret_env = "TAG_SECRET"
[providers.filed]
dialect = "openai"
base_url = "SIM/openai"
list_prices = "openai"
api_key_file = "{path}"
tags = {{ tenant = "pseudonym", feature = "plain" }}
[providers.printed]
dialect = "openai"
base_url = "SIM/openai"
list_prices = "openai"
api_key_command = {command}
"""
    house = make_house(settings=settings, starts=False)
    house.environ["TAG_SECRET"] = "sixteen characters or more"
    house.start()
    key = house.key("app", tenant_id="acme", feature="search")
    for name in ("filed", "printed"):
        with openai.OpenAI(api_key=key, base_url=f"{house.url}/{name}/v1", max_retries=0) as client:
            response = client.responses.create(model="gpt-4o-mini", input="hello")
            assert response.usage is not None
    doctor = house.cli("doctor", "--format", "json")
    details = [row["detail"] for row in json.loads(doctor.stdout)["checks"]]
    assert f"a key was found: file {path}" in details
    assert f"a key was found: command {sys.executable}" in details
    house.stop()
    rows = house.rows(
        "SELECT provider, tenant_id, feature, price_state FROM entries ORDER BY provider"
    )
    assert rows == [(name, "acme", "search", "priced") for name in ("filed", "printed")]
    seen = doctor.stdout + doctor.stderr
    for file in house.data_dir.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes()
    assert KEY not in seen
