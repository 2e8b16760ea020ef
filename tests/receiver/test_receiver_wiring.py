"""What the receiver is told by the settings, and what it tells; the SDK's own sink against it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.e2e.conftest import free_ports
from tests.receiver.conftest import call_frames

from tollbook.call import CallClosed, CallOpened, Observer
from tollbook.capture.otlp.readers import hosts_of
from tollbook.cli.checkup import check_ports, check_receiver
from tollbook.cli.up import greeting
from tollbook.config import Config, load_config
from tollbook.config.receiver import Receiver, is_loopback, needs_key, receiver_ports
from tollbook.sdk.sinks.tollbook import TollbookSink
from tollbook.supervisor.run import is_receiver_wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.receiver.conftest import Running

replace = msgspec.structs.replace


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_this_machine_needs_no_key(host: str) -> None:
    assert is_loopback(host)
    assert not needs_key(Receiver(host=host), host)
    assert needs_key(Receiver(host=host, require_key=True), host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "otel.internal"])
def test_a_key_is_needed_where_others_can_come(host: str) -> None:
    assert not is_loopback(host)
    assert needs_key(Receiver(host=host), host)
    assert not needs_key(Receiver(host=host, require_key=False), host)


def test_ports_that_are_off_are_not_listened_on() -> None:
    assert receiver_ports(Receiver(http_port=0)) == [(4317, "receiver.grpc_port")]
    assert not is_receiver_wanted(Receiver(http_port=0, grpc_port=0))
    assert not is_receiver_wanted(Receiver(enabled=False))


def test_hosts_of_configured_providers_tell_whose_a_span_is(tmp_path: Path) -> None:
    path = tmp_path / "tollbook.toml"
    path.write_text(
        """
[providers.inhouse]
dialect = "openai"
base_url = "https://llm.example.com"
[providers.one]
dialect = "openai"
base_url = "https://shared.example.com/a"
[providers.two]
dialect = "openai"
base_url = "https://shared.example.com/b"
[providers.near]
dialect = "openai"
base_url = "http://127.0.0.1:8000"
"""
    )
    hosts = hosts_of(load_config(path, {}))
    assert (hosts["llm.example.com"], hosts["api.openai.com"]) == ("inhouse", "openai")
    assert not {"shared.example.com", "127.0.0.1"} & set(hosts)


def test_the_greeting_says_where_to_send() -> None:
    line = "receiver: OTLP over HTTP on 127.0.0.1:4318 and gRPC on 127.0.0.1:4317"
    lines = greeting(Config(), Path("data"), {}, "", line)
    assert any(one.split(maxsplit=1) == ["OTLP", line.partition("over ")[2]] for one in lines)
    assert not any("OTLP" in one for one in greeting(Config(), Path("data"), {}))


def test_doctor_asks_a_running_receiver(start: Callable[..., Running], disk: Any) -> None:
    receiver = start()
    (found,) = check_receiver(receiver.config, is_running=True)
    assert (found.state, "without a key" in found.detail) == ("ok", True)
    receiver.frames(call_frames())
    disk.is_full = True
    receiver.frames(call_frames())
    (found,) = check_receiver(receiver.config, is_running=True)
    assert (found.state, "spool fails" in found.detail) == ("fail", True)
    taken = {one.detail for one in check_ports(receiver.config, is_running=False)
             if one.state == "fail" and "the receiver" in one.detail}  # fmt: skip
    assert len(taken) == 2


def test_doctor_misses_a_receiver_that_is_asked_for() -> None:
    (port,) = free_ports(1)
    silent = Receiver(enabled=True, http_port=port)
    (found,) = check_receiver(replace(Config(), receiver=silent), is_running=True)
    assert (found.state, str(port) in found.detail) == ("fail", True)
    unasked = replace(Config(), receiver=replace(silent, enabled=None))
    assert check_receiver(unasked, is_running=True)[0].state == "warn"
    assert check_receiver(unasked, is_running=False) == []


def test_the_sdks_sink_delivers_here(start: Callable[..., Running]) -> None:
    receiver = start(require_key=True)
    sink = TollbookSink(f"http://127.0.0.1:{receiver.http_port}", receiver.key(tenant_id="acme"))
    frames: Any = [call_frames(None) for _ in range(20)]
    for opened, closed in frames:
        sink.opened(opened)
        sink.closed(opened, closed)
    assert sink.flush(20)
    sink.close()

    assert sink.dropped == 0
    found = receiver.spooled
    opens = [one for one in found if isinstance(one, CallOpened)]
    assert {one.call_id for one in opens} == {one.call_id for one, _ in frames}
    assert {(one.observer, one.identity.tenant_id) for one in opens} == {(Observer.SDK, "acme")}
    assert sum(isinstance(one, CallClosed) for one in found) == 20
