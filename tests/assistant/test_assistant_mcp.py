"""An assistant's client over standard input and output, against a running ledger."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from tests.console.conftest import LedgerThread, Running, write_calls

from tollbook.console.assistant import Asker, AssistantError, Tools

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running ledger with two calls of acme and one of globex."""
    data_dir = tmp_path_factory.mktemp("assistant")
    write_calls(data_dir, ["acme", "acme", "globex"])
    thread = LedgerThread(data_dir)
    found = thread.start()
    found.api.catch_up()
    yield found
    assert thread.end() == 0


def _server(running: Running) -> StdioServerParameters:
    arguments = ["-m", "tollbook", "mcp", "--data", str(running.data_dir)]
    return StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))


def test_an_assistant_asks_who_spent_it(running: Running) -> None:
    async def ask() -> tuple[list[Any], Any, Any, Any]:
        async with Client(_server(running)) as client:
            tools = (await client.list_tools()).tools
            spent = await client.call_tool("who_spent", {"by": ["tenant"], "since": "1h"})
            counted = await client.call_tool("sql", {"query": "SELECT count(*) AS n FROM calls"})
            refused = await client.call_tool("sql", {"query": "DROP TABLE entries"})
            return tools, spent, counted, refused

    tools, spent, counted, refused = asyncio.run(ask())
    assert {tool.name for tool in tools} == {
        "who_spent", "list_calls", "explain_call", "show_run", "budgets", "incidents", "forecast",
        "insight", "margin", "sql",
    }  # fmt: skip
    assert all(tool.annotations.read_only_hint and tool.description for tool in tools)
    rows = spent.structured_content["rows"]
    assert [(row["tenant"], row["calls"]) for row in rows] == [("acme", 2), ("globex", 1)]
    assert spent.structured_content["completeness"]["complete_until"]
    assert counted.structured_content["rows"] == [{"n": 3}]
    assert refused.is_error
    assert "expected one SELECT" in refused.content[0].text


def test_every_tool_is_answered(running: Running) -> None:
    tools = Tools(Asker(f"http://127.0.0.1:{running.port}", running.token))
    call_id = tools.list_calls()["rows"][0]["call_id"]
    assert tools.explain_call(call_id)["call_id"] == call_id
    for answer in (
        tools.budgets(), tools.incidents(), tools.insight("change"), tools.margin(),
        tools.who_spent(where=["tenant=acme"], measures=["calls", "cost_usd"]),
    ):  # fmt: skip
        assert isinstance(answer["rows"], list)
    assert "method" in tools.forecast()


def test_refusals_are_said_in_words(running: Running) -> None:
    url = f"http://127.0.0.1:{running.port}"
    with pytest.raises(AssistantError, match="give an API token"):
        Tools(Asker(url, "wrong")).who_spent()
    tools = Tools(Asker(url, running.token))
    with pytest.raises(AssistantError, match="is not one of change, skew"):
        tools.insight("nothing")
    with pytest.raises(AssistantError, match="no call"):
        tools.explain_call("0190a0b0-0000-7000-8000-000000000000")
    with pytest.raises(AssistantError, match="does not answer"):
        Tools(Asker("http://127.0.0.1:9", "x")).budgets()
