"""What goes wrong around us is one clear line and exit code 2."""

from __future__ import annotations

import json
import socket
import sqlite3
from typing import TYPE_CHECKING, Any

import anthropic
import duckdb
import openai
import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


def refused(house: Any, *arguments: str) -> str:
    done: subprocess.CompletedProcess[str] = house.cli(*(arguments or ("up",)))
    assert done.returncode == 2, done
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[gateway]\nport = "high"\n', ["gateway.port", "a whole number"]),
        ("[gateway]\nprot = 1\n", ["gateway.prot", "port"]),
        ('[providers.openai]\ndialect = "opnai"\n', ["providers.openai", "openai"]),
        ('[providers.inhouse]\ndialect = "openai"\n', ["providers.inhouse", "base_url"]),
        ("[gateway\n", ["TOML"]),
    ],
)
def test_a_wrong_configuration_names_file_key_and_expected_value(
    make_house: Callable[..., Any], text: str, expected: list[str]
) -> None:
    house = make_house(starts=False)
    house.config_path.write_text(text)

    line = refused(house)

    assert str(house.config_path) in line
    assert all(part in line for part in expected), line


def test_a_port_in_use(make_house: Callable[..., Any]) -> None:
    house = make_house(starts=False)
    with socket.create_server(("127.0.0.1", house.gateway_port)):
        assert f"127.0.0.1:{house.gateway_port}" in refused(house)
    with socket.create_server(("127.0.0.1", house.console_port)):
        assert f"127.0.0.1:{house.console_port}" in refused(house)


def test_a_data_directory_that_cannot_be_used(make_house: Callable[..., Any]) -> None:
    house = make_house(starts=False)
    house.data_dir.rmdir()
    house.data_dir.write_text("a file")

    assert str(house.data_dir) in refused(house)


def test_a_ledger_of_a_newer_version(make_house: Callable[..., Any]) -> None:
    house = make_house()
    house.stop()
    with duckdb.connect(str(house.data_dir / "ledger.duckdb")) as connection:
        connection.execute("UPDATE schema_version SET version = 999")

    assert "ledger.duckdb" in refused(house)


def test_books_of_a_newer_version(make_house: Callable[..., Any]) -> None:
    house = make_house()
    house.stop()
    with sqlite3.connect(house.data_dir / "books.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'zzzz'")
    connection.close()

    assert "books.sqlite" in refused(house)


def test_a_corrupt_spool_segment(make_house: Callable[..., Any]) -> None:
    house = make_house(settings="[spool]\nsegment_max_bytes = 4096\n")
    client = openai.OpenAI(
        base_url=f"{house.url}/openai/v1", api_key=house.key("app", tenant_id="acme")
    )
    house.supervisor.request_stop()
    house.supervisor.ledger.terminate()
    assert house.supervisor.ledger.wait(30)
    with client:
        for _ in range(20):
            client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hi"}]
            )
    house.stop()
    segments = sorted((house.data_dir / "spool").glob("*/*.seg"))
    assert len(segments) > 2
    whole = segments[1].read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 0xFF
    segments[1].write_bytes(damaged)

    line = refused(house)

    assert segments[1].name in line
    # Put right, everything is there.
    segments[1].write_bytes(whole)
    house.start()
    house.stop()
    assert house.rows("SELECT sum(calls) FROM entries") == [(20,)]


def test_a_provider_that_is_down_answers_in_its_own_shape(
    make_house: Callable[..., Any],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead_port = closed.getsockname()[1]
    house = make_house(
        settings=f"""
[providers.dead-openai]
dialect = "openai"
base_url = "http://127.0.0.1:{dead_port}"
api_key_env = "SIM_KEY"
[providers.dead-anthropic]
dialect = "anthropic"
base_url = "http://127.0.0.1:{dead_port}"
api_key_env = "SIM_KEY"
"""
    )
    key = house.key("app", tenant_id="acme")
    first = openai.OpenAI(base_url=f"{house.url}/dead-openai/v1", api_key=key, max_retries=0)
    second = anthropic.Anthropic(base_url=f"{house.url}/dead-anthropic", api_key=key, max_retries=0)

    with first, pytest.raises(openai.InternalServerError) as caught:
        first.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    with second, pytest.raises(anthropic.InternalServerError) as also:
        second.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=5,
            messages=[{"role": "user", "content": "hi"}],
        )

    assert caught.value.status_code == 502
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"]
    assert also.value.status_code == 502
    assert json.loads(also.value.response.content)["type"] == "error"


def test_an_answer_that_never_comes_is_504(make_house: Callable[..., Any]) -> None:
    house = make_house(
        settings="[providers.slow]\ndialect='openai'\nfirst_byte_timeout_s=0.5\n"
        "api_key_env='SIM_KEY'\nbase_url='SIM/openai'\n"
    )
    key = house.key("app", tenant_id="acme")
    client = openai.OpenAI(base_url=f"{house.url}/slow/v1", api_key=key, max_retries=0)

    with client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "hi"}],
            extra_headers={"x-sim-fault": "hang"},
        )

    assert caught.value.status_code == 504
