"""``tollbook doctor``: whether each provider's key is there, and from where; never the key."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tollbook.cli.keycheck import check_keys
from tollbook.cli.settings import settings_with_origin
from tollbook.config import Config, load_config

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-live-Zq83nVx"
OPENAI: dict[str, Any] = {"dialect": "openai", "base_url": "http://x"}


def found(environ: dict[str, str] | None = None, **settings: Any) -> list[tuple[str, str]]:
    config = msgspec.convert({"providers": {"p": {**OPENAI, **settings}}}, Config)
    findings = check_keys(config, environ or {})
    assert SECRET not in str(findings)
    assert {one.check for one in findings} <= {"provider p"}
    return [(one.state, one.detail) for one in findings]


def test_where_a_key_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(SECRET)
    command = [sys.executable, "-c", f"print({SECRET!r})"]
    assert found({"K": SECRET}, api_key_env="K") == [("ok", "K is set")]
    assert found(api_key_file=str(path)) == [("ok", f"a key was found: file {path}")]
    assert found(api_key_command=command) == [("ok", f"a key was found: command {sys.executable}")]
    assert found() == [("ok", "no key of its own: callers bring theirs")]


def test_each_of_several_keys(tmp_path: Path) -> None:
    keys = [{"env": "A"}, {"env": "B"}, {"file": str(tmp_path / "none")}]
    states = found({"A": SECRET}, api_keys=keys)
    assert states[0] == ("ok", "A is set")
    assert states[1] == ("warn", "B is not set: virtual keys cannot use it")
    assert states[2][0] == "warn"
    assert "cannot be read: No such file" in states[2][1]


def test_a_command_that_fails() -> None:
    command = [sys.executable, "-c", f"import sys; print({SECRET!r}); sys.exit(4)"]
    ((state, detail),) = found(api_key_command=command)
    assert state == "warn"
    assert "failed with exit code 4" in detail


def test_aws_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    ((state, detail),) = found(dialect="bedrock")
    assert (state, detail[:26]) == ("warn", "no AWS credentials are set")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert found(dialect="bedrock") == [
        ("ok", "requests are signed with AWS credentials (env)")
    ]  # fmt: skip
    assert found({"B": SECRET}, dialect="bedrock", api_key_env="B") == [("ok", "B is set")]


def test_google_credentials_that_are_not_there(tmp_path: Path) -> None:
    ((state, detail),) = found(
        dialect="gemini", auth="google", google_credentials_file=str(tmp_path / "none.json")
    )
    assert state == "warn"
    assert "gave no token" in detail


def test_arguments_of_a_command_are_not_shown() -> None:
    command = ["vault", "read", f"-token={SECRET}"]
    config = msgspec.convert(
        {"providers": {"p": {**OPENAI, "api_key_command": command,
                             "api_keys": [{"command": command}]}}},
        Config,
    )  # fmt: skip
    shown = {row["key"]: row["value"] for row in settings_with_origin(config, None, {})}
    assert shown["providers.p.api_key_command"] == "['vault', '...']"
    assert SECRET not in str(shown)


def test_settings_of_providers_that_nothing_sets_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "tollbook.toml"
    path.write_text("[providers.groq]\nretries = 2\n")
    config = load_config(path, {})
    keys = {row["key"] for row in settings_with_origin(config, path, {})}
    assert {"providers.groq.retries", "providers.groq.auth"} <= keys
    assert {key for key in keys if key.startswith("providers.xai.")} == {"providers.xai.base_url"}
    environ = {"TOLLBOOK_PROVIDERS__XAI__RETRIES": "1"}
    rows = settings_with_origin(load_config(path, environ), path, environ)
    assert "providers.xai.retries" in {row["key"] for row in rows}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[budgets]]\nname="a"\nlimit_usd=1\ntimezone="Mars/Base"', "is no time zone"),
        ('[providers.openai.tags]\ntenant="pseudonym"', "identity.pseudonym_secret_env"),
    ],
)
def test_what_up_refuses_doctor_refuses_too(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tollbook.toml"
    path.write_text(text)
    arguments = ["doctor", "--config", str(path), "--data", str(tmp_path / "data")]
    done = subprocess.run(
        [sys.executable, "-m", "tollbook", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
