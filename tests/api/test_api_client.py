from __future__ import annotations

import asyncio
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.console.conftest import LedgerThread
from tests.portal.conftest import write_calls

from tollbook import client as module
from tollbook.client import (
    ApiError,
    ApiUnreachableError,
    AsyncClient,
    Client,
    NotAllowedError,
    NotFoundError,
    UnexpectedAnswerError,
    WrongQuestionError,
    usd,
)
from tollbook.client import client as internals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

URL = "http://tollbook.test"
EMPTY = b'{"rows":[],"timezone":"UTC"}'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A ledger process in a thread: its address and token."""
    data_dir = tmp_path_factory.mktemp("data")
    write_calls(data_dir)
    thread = LedgerThread(data_dir)
    one = thread.start()
    one.api.catch_up()
    yield f"http://127.0.0.1:{one.port}", one.token
    assert thread.end() == 0


@pytest.fixture
def tollbook(running: tuple[str, str]) -> Iterator[Client]:
    with Client(*running) as made:
        yield made


def test_sums_are_typed_and_exact(tollbook: Client) -> None:
    found = tollbook.spend(by=["tenant"], since="30d", measures=["calls", "input_tokens"])
    assert {row["tenant"]: row["calls"] for row in found.rows} == {
        "aurora-labs": 6, "zqx-tenant": 3,
    }  # fmt: skip
    assert found.totals["calls"] == 9
    assert found.completeness.complete_until is not None
    assert found.completeness.unpriced.calls == 9


def test_calls_are_paged_through(tollbook: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internals, "_PAGE", 2)
    found = list(tollbook.calls(since="30d", where=["tenant=aurora-labs"]))
    assert len({one.call_id for one in found}) == 6
    assert {one.tenant for one in found} == {"aurora-labs"}
    assert len(list(tollbook.calls(since="30d", limit=5))) == 5


def test_a_call_is_explained_and_a_run_is_told(tollbook: Client) -> None:
    one = next(tollbook.calls(since="30d", where=["feature=plain-feature"]))
    told = tollbook.explain(one.call_id)
    assert told.identity["tenant_id"]["value"] == "aurora-labs"
    assert told.what["model_actual"] == "plain-model"
    assert told.net_cost_usd is None  # no price is known here
    runs = tollbook.runs(since="30d").rows
    assert {"plain-run-0", "zqx-run-2"} <= {row["run"] for row in runs}
    assert tollbook.run("plain-run-0").totals["calls"] == 1


def test_lists_of_other_rooms_answer(tollbook: Client) -> None:
    assert tollbook.budgets().rows == []
    assert tollbook.incidents().counts["open"] == 0
    assert tollbook.periods().rows[-1]["state"] == "open"


def test_exports_are_made_and_downloaded(tollbook: Client, tmp_path: Path) -> None:
    month = tollbook.periods().rows[-1]["period"]
    made = tollbook.export_focus(month)
    name = made.rows[0]["name"]
    target = tollbook.download(made.export_id, name, tmp_path / "export")
    assert target.stat().st_size > 0
    with pytest.raises(FileExistsError):
        tollbook.download(made.export_id, name, target)
    with pytest.raises(ApiError):
        tollbook.download(made.export_id, "nothing", tmp_path / "another")
    assert not (tmp_path / "another").exists()


def test_a_token_of_a_portal_opens_it(tollbook: Client, running: tuple[str, str]) -> None:
    made = tollbook.portal_token("aurora-labs", lifetime_s=60, parts=["usage"])
    assert made.token not in repr(made)
    page = httpx2.get(running[0] + made.path)
    assert page.status_code == 200
    assert "aurora-labs" in page.text


def test_errors_are_in_the_servers_words(tollbook: Client, running: tuple[str, str]) -> None:
    with pytest.raises(WrongQuestionError, match="there is no 'nothing'") as wrong:
        tollbook.spend(by=["nothing"])
    assert (wrong.value.status, wrong.value.kind) == (400, "UnknownNameError")
    assert wrong.value.parameter == "by"
    with pytest.raises(NotFoundError):
        tollbook.explain("nowhere")
    with Client(running[0], "wrong") as nobody, pytest.raises(NotAllowedError):
        nobody.periods()


def test_asyncio_answers_the_same(tollbook: Client, running: tuple[str, str]) -> None:
    async def ask() -> tuple[Any, list[Any], Any]:
        async with AsyncClient(*running) as asked:
            sums = await asked.spend(by=["day"], period="2026-01")
            calls = [one async for one in asked.calls(since="30d", limit=4)]
            return sums.rows, calls, (await asked.periods()).rows

    sums, calls, periods = asyncio.run(ask())
    assert sums == []
    assert len(calls) == 4
    assert periods == tollbook.periods().rows


def test_nobody_there_is_told_in_one_line() -> None:
    made = Client("http://127.0.0.1:9", "x", retries=0)
    with made, pytest.raises(ApiUnreachableError) as error:
        made.periods()
    assert "\n" not in error.value.message


def scripted(*answers: httpx2.Response | Exception) -> tuple[Client, list[httpx2.Request]]:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        one = answers[min(len(seen), len(answers)) - 1]
        if isinstance(one, Exception):
            raise one
        return one

    return Client(URL, "secret-token", transport=httpx2.MockTransport(answer)), seen


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("tollbook.client.client.sleep", waited.append)
    return waited


@pytest.mark.parametrize(
    "first",
    [
        lambda: httpx2.Response(503, headers={"retry-after": "3"}),
        lambda: httpx2.Response(502), lambda: httpx2.ConnectError("refused"),
        lambda: httpx2.RemoteProtocolError("gone"),
    ],
)  # fmt: skip
def test_reads_are_tried_again(first: Callable[[], Any], waits: list[float]) -> None:
    made, seen = scripted(first(), httpx2.Response(200, content=EMPTY))
    assert made.periods().rows == []
    assert len(seen) == 2
    assert len(waits) == 1
    assert seen[0].headers["authorization"] == "Bearer secret-token"


def test_the_server_says_when_to_come_again(waits: list[float]) -> None:
    answers = [httpx2.Response(429, headers={"retry-after": "7"})] * 2
    made, _ = scripted(*answers, httpx2.Response(200, content=EMPTY))
    made.periods()
    assert waits == [7.0, 7.0]


def test_deeds_are_never_sent_twice() -> None:
    for answer in (httpx2.Response(503, content=b"{}"), httpx2.ConnectError("refused")):
        made, seen = scripted(answer)
        with pytest.raises((ApiError, ApiUnreachableError)):
            made.portal_token("a")
        assert len(seen) == 1


def test_a_question_that_takes_too_long_is_not_asked_again() -> None:
    made, seen = scripted(httpx2.Response(504, content=b'{"detail":"took longer"}'))
    with pytest.raises(ApiError, match="took longer"):
        made.periods()
    made, more = scripted(httpx2.ReadTimeout("slow"))
    with pytest.raises(ApiUnreachableError):
        made.periods()
    assert (len(seen), len(more)) == (1, 1)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"rows":3}', b"\xff", b""])
def test_answers_of_something_else_are_told(body: bytes) -> None:
    made, _ = scripted(httpx2.Response(200, content=body))
    with pytest.raises(UnexpectedAnswerError):
        made.periods()


@pytest.mark.parametrize("body", [b"<html>oops", b"[]", b'{"detail":3}', b"\xff\xfe", b""])
def test_errors_of_something_else_are_told(body: bytes) -> None:
    made, _ = scripted(httpx2.Response(418, content=body))
    with pytest.raises(ApiError) as error:
        made.periods()
    assert error.value.status == 418
    assert error.value.message


def test_the_token_is_not_shown() -> None:
    made, _ = scripted(httpx2.Response(200, content=EMPTY))
    assert "secret-token" not in repr(made)


def test_amounts_are_exact() -> None:
    assert usd("0.000000000001") == Decimal("1e-12")
    assert usd(None) is None


def test_everything_public_is_there() -> None:
    assert all(hasattr(module, name) for name in module.__all__)


def test_it_needs_neither_engine_nor_server() -> None:
    script = (
        "import sys, tollbook.client; "
        "print([one for one in ('duckdb', 'litestar', 'sqlalchemy', 'pyarrow', 'ibis')"
        " if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
