"""Settings from the environment: good ones are used, bad ones are one warning."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tollbook.sdk import runtime as module
from tollbook.sdk.environ import settings_from
from tollbook.sdk.runtime import Runtime, configure, flush, runtime
from tollbook.sdk.sink import MemorySink
from tollbook.sdk.sinks import OtelSink, SpoolSink, TeeSink, TollbookSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = module._current
    module._current = None
    for name in list(os.environ):
        if name.startswith("TOLLBOOK_"):
            monkeypatch.delenv(name)
    yield
    module._current = before


def test_without_anything_calls_are_booked_and_told_nowhere() -> None:
    assert runtime() == Runtime()
    assert flush()


def test_all_of_them() -> None:
    found = settings_from({
        "TOLLBOOK_GATEWAY": "http://127.0.0.1:8080",
        "TOLLBOOK_GATEWAY_KEY": "tbk_1",
        "TOLLBOOK_ENVIRONMENT": "staging",
        "TOLLBOOK_ALLOWED_HOSTS": "api.internal, .example.com,",
        "PATH": "/bin",
    })  # fmt: skip
    assert found == {
        "gateway": "http://127.0.0.1:8080", "gateway_key": "tbk_1", "environment": "staging",
        "missing_tenant": "log", "allowed_hosts": ("api.internal", ".example.com"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "policy", "expected"),
    [
        ("production", None, "book"),
        ("staging", None, "log"),
        ("test", None, "book"),
        ("staging", "book", "book"),
        ("production", "RAISE", "raise"),
    ],
)
def test_what_is_done_without_a_tenant(environment: str, policy: str | None, expected: str) -> None:
    given = {"TOLLBOOK_ENVIRONMENT": environment}
    if policy is not None:
        given["TOLLBOOK_MISSING_TENANT"] = policy
    assert settings_from(given)["missing_tenant"] == expected


def test_sinks(tmp_path: Path) -> None:
    spool = {"TOLLBOOK_SPOOL_DIR": str(tmp_path)}
    sent = {"TOLLBOOK_ENDPOINT": "http://127.0.0.1:9", "TOLLBOOK_KEY": "tbk_2"}
    otel = {"TOLLBOOK_SINK": "otel"}
    assert isinstance(settings_from(spool)["sink"], SpoolSink)
    assert isinstance(settings_from(sent)["sink"], TollbookSink)
    assert isinstance(settings_from(otel)["sink"], OtelSink)
    both = settings_from(spool | sent | otel)["sink"]
    assert isinstance(both, TeeSink)
    assert [type(one) for one in both.sinks] == [SpoolSink, TollbookSink, OtelSink]
    assert "sink" not in settings_from(spool | {"TOLLBOOK_SINK": "none"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOLLBOOK_GATEWAY", "127.0.0.1:8080"),
        ("TOLLBOOK_GATEWAY", "http://user:secret@host"),
        ("TOLLBOOK_GATEWAY", "http://host:99999"),
        ("TOLLBOOK_GATEWAY_KEY", "secret with\nnewline"),
        ("TOLLBOOK_ENDPOINT", "secret"),
        ("TOLLBOOK_ENVIRONMENT", '{"secret": 1}'),
        ("TOLLBOOK_MISSING_TENANT", "secret"),
        ("TOLLBOOK_SINK", "secret"),
        ("TOLLBOOK_ALLOWED_HOSTS", "https://secret/"),
    ],
)
def test_a_bad_value_is_one_warning_without_the_value(
    name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings_from({name: value}) in ({}, {"allowed_hosts": ()})
    assert [(one.levelno, one.name) for one in caplog.records] == [(logging.WARNING, "tollbook")]
    assert caplog.records[0].message.startswith(name)
    assert "secret" not in caplog.text


NAMES = [
    "GATEWAY", "GATEWAY_KEY", "ENDPOINT", "ENVIRONMENT", "MISSING_TENANT", "ALLOWED_HOSTS", "KEY",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from([f"TOLLBOOK_{one}" for one in NAMES]), st.text(max_size=40)))
def test_no_environment_raises(values: dict[str, str]) -> None:
    settings = settings_from(
        {name: value for name, value in values.items() if "ENDPOINT" not in name}
    )
    assert isinstance(replace(Runtime(), **settings), Runtime)


def test_the_environment_is_read_on_first_use_and_configure_goes_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOLLBOOK_GATEWAY", "http://gateway:1")
    monkeypatch.setenv("TOLLBOOK_ENVIRONMENT", "staging")
    configure(gateway="http://gateway:2")

    assert (runtime().gateway, runtime().missing_tenant) == ("http://gateway:2", "log")
    assert configure(environment="production").missing_tenant == "log"


def test_configure_refuses_what_there_is_not() -> None:
    with pytest.raises(TypeError, match="no setting 'tenant'"):
        configure(tenant="acme")
    wrong: Any = "explode"
    with pytest.raises(ValueError, match="explode"):
        configure(missing_tenant=wrong)
    assert configure(environment="staging").missing_tenant == "log"


def test_a_key_is_not_shown() -> None:
    shown = repr(configure(gateway_key="tbk_secret", sink=MemorySink()))
    assert "tbk_secret" not in shown
    assert "gateway_key=***" in shown


def test_an_application_starts_whatever_its_environment_holds() -> None:
    bad = {f"TOLLBOOK_{name}": "\x7f nonsense \\" for name in [*NAMES, "SINK", "SPOOL_DIR"]}
    code = "import tollbook\nfrom tollbook.sdk.runtime import runtime\nprint(runtime().environment)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | bad, check=True, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "production\n"
    assert "Traceback" not in done.stderr
