"""docs/sdk/delivery.md and missing-tenant.md: their code is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.sdk_sinks.sinks_kit import Receiver, a_call, always

import tollbook
from tollbook.sdk import environ
from tollbook.sdk.runtime import Runtime, configure, runtime
from tollbook.sdk.sinks import OtelSink, SpoolSink, TollbookSink

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = Path(__file__).resolve().parents[2] / "docs" / "sdk"
pytest_plugins = ["pytester"]


def blocks(page: str, language: str = "python") -> list[str]:
    text = (PAGES / f"{page}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def as_before() -> Iterator[None]:
    before = runtime()
    yield
    configure(**{name: getattr(before, name) for name in before.__struct_fields__})


def test_delivery(tmp_path: Path, as_before: None) -> None:
    receiver = Receiver(always())
    names: dict[str, Any] = {}
    made: list[Any] = []
    for block in blocks("delivery"):
        code = block.replace("/var/lib/tollbook", str(tmp_path)).replace(
            "http://127.0.0.1:4318", receiver.address
        )
        exec(compile(code, "delivery.md", "exec"), names)
        sink = runtime().sink
        assert sink is not None
        if sink not in made:
            made.append(sink)
            sink.closed(*a_call())
    spool, sent, otel = made
    assert isinstance(spool, SpoolSink)
    assert isinstance(sent, TollbookSink)
    assert isinstance(otel, OtelSink)
    assert len(receiver.call_ids) == 1
    for sink in made:
        sink.close()
    receiver.stop()


def test_the_table_of_settings_is_whole() -> None:
    text = (PAGES / "delivery.md").read_text("utf-8")
    variables = {value for value in vars(environ).values()
                 if isinstance(value, str) and value.startswith("TOLLBOOK_")}  # fmt: skip
    assert variables <= set(re.findall(r"TOLLBOOK_[A-Z_]+", text))
    for field in Runtime.__struct_fields__:
        assert f"{field}=" in text


def test_missing_tenant(as_before: None) -> None:
    (first, *_) = blocks("missing-tenant")
    names: dict[str, Any] = {}
    exec(compile(first, "missing-tenant.md", "exec"), names)
    assert re.fullmatch(r"missing-tenant\.md:\d+ answer", names["place"])


def test_the_tests_of_the_page_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOLLBOOK_MISSING_TENANT", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini(blocks("missing-tenant", "ini")[0])
    pytester.makepyfile("\n\n".join(blocks("missing-tenant")))
    done = pytester.runpytest_subprocess("-q", "-p", "tollbook.sdk.pytest_plugin", timeout=120)
    done.assert_outcomes(passed=2)


def test_what_pages_name_is_there() -> None:
    assert callable(tollbook.flush)
