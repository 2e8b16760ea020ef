"""Where keys come from: what is read, what is refused, and that no text ever holds a key."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.capture.gateway.credentials.readers import (
    CommandReader,
    FileReader,
    Found,
    Missing,
    _key_of,
    reader_of,
)
from tollbook.config import load_config
from tollbook.config.credentials import KeySource, key_sources
from tollbook.config.schema import Provider

SECRET = "sk-live-Zq83nVx"


def read(source: KeySource, environ: dict[str, str] | None = None) -> Found[str] | Missing | None:
    return reader_of(source, environ or {}).read(is_refused=False)


def printing(text: str, *, to: str = "stdout", code: int = 0) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.{to}.write({text!r}); sys.exit({code})"]


def test_a_variable_is_trimmed() -> None:
    assert read(KeySource(env="K"), {"K": f" {SECRET}\n"}) == Found(SECRET)


@pytest.mark.parametrize("value", ["", "  ", "two words", "a\r\nX-Evil: 1", "ключ", "a\x00b"])
def test_what_is_no_key_is_refused_without_being_shown(value: str) -> None:
    found = read(KeySource(env="K"), {"K": value})
    assert isinstance(found, Missing)
    assert found.problem.startswith("the environment variable K ")
    assert not value.strip() or value not in found.problem


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(SECRET + "\n")
    reader = FileReader(KeySource(file=str(path)))
    assert reader.read(is_refused=False) == Found(SECRET)
    assert reader.read(is_refused=False) is None
    assert reader.read(is_refused=True) == Found(SECRET)
    other = tmp_path / "other"
    other.write_text("sk-next\n")
    os.replace(other, path)  # noqa: PTH105 -- as a secret is rotated
    assert reader.read(is_refused=False) == Found("sk-next")
    path.unlink()
    gone = reader.read(is_refused=False)
    assert isinstance(gone, Missing)
    assert str(path) in gone.problem
    path.write_text(SECRET)
    assert reader.read(is_refused=False) == Found(SECRET)


def test_a_file_behind_a_link_that_moved_is_another_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"sk-{name}")
        os.utime(tmp_path / name, ns=(1, 1))
    link = tmp_path / "key"
    link.symlink_to(tmp_path / "one")
    reader = FileReader(KeySource(file=str(link)))
    assert reader.read(is_refused=False) == Found("sk-one")
    link.unlink()
    link.symlink_to(tmp_path / "two")
    assert reader.read(is_refused=False) == Found("sk-two")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds nothing"),
        (b"\xff\xfe", "no text"),
        (b"x" * 70_000, "more than 65536 bytes"),
        (b"{", "JSON that cannot be read"),
        (b'{"secret": "x"}', "JSON without any of key"),
        (b'{"token": "a b"}', "holds no key"),
        (b"[]nope yes", "holds no key"),
    ],
)
def test_files_that_hold_no_key(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    found = read(KeySource(file=str(path)))
    assert isinstance(found, Missing)
    assert says in found.problem


@given(st.binary(max_size=400))
def test_any_file_is_a_key_or_a_problem(content: bytes) -> None:
    found = _key_of(content, "the key file x")
    if isinstance(found, Found):
        assert found.value.isascii()
        assert found.value.isprintable()
        assert " " not in found.value
    else:
        assert found.problem.startswith("the key file x ")


@pytest.mark.parametrize(
    ("document", "expires_at_s"),
    [
        ({"token": SECRET}, None),
        ({"accessToken": SECRET, "expires_on": 1_800_000_000}, 1_800_000_000.0),
        ({"accessToken": SECRET, "expiresOn": "2027-01-15 09:00:00.000000"}, None),
        ({"key": SECRET, "expires_at": "2027-01-15T08:00:00Z"}, 1_800_000_000.0),
        ({"key": SECRET, "expires_at": "1800000000"}, 1_800_000_000.0),
        ({"key": SECRET, "expires_at": "soon"}, None),
    ],
)
def test_json_says_when_a_key_expires(
    tmp_path: Path, document: dict[str, object], expires_at_s: float | None
) -> None:
    path = tmp_path / "key"
    path.write_bytes(msgspec.json.encode(document))
    assert read(KeySource(file=str(path))) == Found(SECRET, expires_at_s)


def test_a_lifetime_counts_from_now() -> None:
    found = read(KeySource(command=printing(f'{{"access_token": "{SECRET}", "expires_in": 3600}}')))
    assert isinstance(found, Found)
    assert found.expires_at_s is not None
    assert abs(found.expires_at_s - time.time() - 3600) < 60


def test_a_command_prints_the_key() -> None:
    assert read(KeySource(command=printing(f"\n{SECRET}\n"))) == Found(SECRET)


def test_a_command_is_not_run_by_a_shell() -> None:
    found = read(KeySource(command=["echo", "$HOME;id"]))
    assert found == Found("$HOME;id")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["/no/such/program"], "cannot be run"),
        (printing(SECRET, code=3), "failed with exit code 3"),
        (printing(SECRET, to="stderr"), "holds nothing"),
        (printing("x" * 70_000), "printed more than"),
    ],
)
def test_commands_that_bring_no_key(
    command: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = read(KeySource(command=command))
    assert isinstance(found, Missing)
    assert says in found.problem
    assert SECRET not in found.problem
    out, err = capfd.readouterr()
    assert SECRET not in out + err


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = (
        "import subprocess, sys, pathlib;"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"pathlib.Path({str(mark)!r}).write_text(str(p.pid)); p.wait()"
    )
    source = KeySource(command=[sys.executable, "-c", script], timeout_s=1.5)
    found = CommandReader(source).read(is_refused=False)
    assert isinstance(found, Missing)
    assert "took longer than 1.5 s" in found.problem
    child = int(mark.read_text())
    for _ in range(500):
        try:
            state = Path(f"/proc/{child}/stat").read_text().split()[2]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        time.sleep(0.01)
    pytest.fail("the child of the command still runs")


def test_descriptions_never_hold_arguments() -> None:
    source = KeySource(command=["vault", "read", "-token=hvs.private"])
    assert reader_of(source, {}).description == "command vault"
    assert "private" not in reader_of(source, {}).description
    assert "sk" not in repr(Found(SECRET))


def test_what_goes_first() -> None:
    base = {"dialect": "openai", "base_url": "http://x", "api_key_env": "A"}

    def sources(**more: object) -> list[str]:
        provider = msgspec.convert({**base, **more}, Provider)
        return [one.description for one in key_sources(provider)]

    assert sources() == ["env A"]
    assert sources(api_key_file="f") == ["file f"]
    assert sources(api_key_file="f", api_key_command=["c", "x"]) == ["command c"]
    assert sources(api_key_command=["c"], api_keys=[{"env": "B"}, {"file": "g"}]) == [
        "env B", "file g",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"api_keys": [{"env": "A", "file": "b"}]}, "exactly one of env, file and command"),
        ({"api_keys": [{"weight": 2}]}, "exactly one of env, file and command"),
        ({"api_keys": [{"env": "A", "weight": 0}]}, ">= 1"),
        ({"api_key_command": []}, "length"),
        ({"auth": "entra", "api_key_env": None}, "needs a token"),
        ({"auth": "aws"}, "signs for Bedrock"),
        ({"headers": {"Authorization": "x"}}, "credential"),
        ({"headers": {"X-Tollbook-Tenant": "x"}}, "identity"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "framing"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "one line"),
        ({"headers": {"X-A": ""}}, "one line"),
        ({"headers": {"X A": "a"}}, "no header name"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, "twice"),
        ({"tags": {"profiles": {"acme": "arn:x"}}}, "Bedrock"),
        ({"tags": {"tenant": "yes"}}, "Invalid enum"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, object], says: str) -> None:
    base = {"dialect": "openai", "base_url": "http://x", "api_key_env": "A"}
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert({**base, **settings}, Provider)


def test_lists_and_tables_may_come_from_variables() -> None:
    config = load_config(
        None,
        {
            "TOLLBOOK_PROVIDERS__OPENAI__API_KEY_COMMAND": '["vault", "read"]',
            "TOLLBOOK_PROVIDERS__OPENAI__HEADERS": '{"OpenAI-Project" = "proj"}',
            "TOLLBOOK_PROVIDERS__OPENAI__TAGS__TENANT": "plain",
        },
    )
    openai = config.providers["openai"]
    assert openai.api_key_command == ["vault", "read"]
    assert openai.headers == {"OpenAI-Project": "proj"}
    assert openai.tags.tenant == "plain"


def test_nothing_is_logged_by_reading(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        read(KeySource(command=printing(SECRET, code=1)))
        read(KeySource(env="K"), {"K": "a b"})
    assert SECRET not in caplog.text
