"""The disk refuses writes: requests go on and nothing is lost; strict mode refuses instead."""

from __future__ import annotations

import http.client
import json
import resource
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]


def limit_file_size(house: Any, size_bytes: int) -> None:
    """Let the worker's files grow no further, as on a full disk; lifted again with -1."""
    pid = house.supervisor.workers[0].pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


def get(house: Any, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", house.gateway_port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def client_of(house: Any) -> openai.OpenAI:
    key = house.key("app", tenant_id="acme")
    return openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=key, max_retries=0)


def test_with_a_full_disk_calls_go_on_and_are_all_there_afterwards(
    make_house: Callable[..., Any],
) -> None:
    house = make_house()
    with client_of(house) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        limit_file_size(house, 2000)
        for _ in range(30):
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        during = get(house, "/metrics")[1]
        limit_file_size(house, resource.RLIM_INFINITY)
        for _ in range(10):
            client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    house.stop()

    lines = [line.rsplit(" ", 1) for line in during.splitlines() if not line.startswith("#")]
    ring = [int(float(value)) for name, value in lines if "ring_bytes" in name]
    assert ring
    assert ring[0] > 0, "frames wait in memory"
    truth = read_truth(house.simulator.log_dir)
    assert house.rows("SELECT sum(calls), count(DISTINCT call_id) FROM entries") == [(41, 41)]
    assert len(truth) == 41
    assert house.rows("SELECT count(*) FROM entries WHERE usage_source <> 'reported'") == [(0,)]


def test_strict_mode_refuses_what_it_cannot_record(make_house: Callable[..., Any]) -> None:
    house = make_house(settings="")
    house.stop()
    text = house.config_path.read_text().replace("[gateway]\n", "[gateway]\nstrict = true\n")
    house.config_path.write_text(text)
    house.start()
    with client_of(house) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        limit_file_size(house, 2000)
        refusals = []
        for _ in range(12):
            try:
                client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
            except openai.InternalServerError as error:
                refusals.append((error.status_code, "cannot record" in json.dumps(error.body)))
        health = get(house, "/healthz")[0]
        limit_file_size(house, resource.RLIM_INFINITY)
    arrived = len(read_truth(house.simulator.log_dir))
    house.stop()

    assert set(refusals) == {(503, True)}
    assert health == 503
    assert arrived == 13 - len(refusals), "what is refused never reaches the provider"
    assert house.rows(
        "SELECT count(*) FILTER (WHERE status = 'ok'), count(*) FILTER (WHERE status = 'rejected')"
        " FROM entries"
    ) == [(arrived, len(refusals))]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_gateway_tells_how_it_is(make_house: Callable[..., Any], path: str) -> None:
    house = make_house()

    assert get(house, path)[0] == 200
    assert get(house, "/no-such-provider/v1/models")[0] == 404
