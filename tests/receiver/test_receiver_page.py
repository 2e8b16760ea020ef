"""The page on receiving: its code sends to a receiver, its settings are settings."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tollbook.call import CallOpened
from tollbook.capture.otlp.http import SIGNALS
from tollbook.config.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).resolve().parents[2] / "docs" / "otlp" / "receiving.md"


def block(language: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert isinstance(found, str)
    return found


def test_the_code_of_the_page(start: Callable[..., Any]) -> None:
    receiver = start()
    code = block("python").replace("127.0.0.1:4318", f"127.0.0.1:{receiver.http_port}")
    exec(compile(code, str(PAGE), "exec"), {})
    (opened,) = [one for one in receiver.spooled if isinstance(one, CallOpened)]
    assert (opened.identity.tenant_id, opened.provider) == ("acme", "openai")


def test_the_settings_of_the_page_are_the_defaults() -> None:
    shown = tomllib.loads(block("toml"))["receiver"]
    assert msgspec.convert(shown, Receiver) == Receiver()


def test_the_page_names_every_path_and_port() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(path in text for path in SIGNALS)
    assert str(Receiver().http_port) in text
    assert str(Receiver().grpc_port) in text
