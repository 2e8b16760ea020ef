"""The simulator as a process: starts, says where, stops, and says what is wrong."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tollbook.simulator.lab import Lab, raw_request
from tollbook.simulator.process import SimulatorStartError, main, start_in_subprocess
from tollbook.simulator.provider.server import ServerSettings
from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from pathlib import Path

CHAT = "/openai/v1/chat/completions"
BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}'


@pytest.mark.parametrize("way", ["sigterm", "stdin"])
def test_announces_its_port_and_stops(way: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tollbook.simulator.process", "--port", "0"]
    command += ["--log", str(tmp_path / "truth"), "--exit-on-stdin-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        word, port = process.stdout.readline().split()
        assert (word, int(port) > 0) == (b"listening", True)
        if way == "sigterm":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert process.wait(10) == 0


def test_a_port_in_use_is_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port), "--log", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"127.0.0.1:{port}" in error
    assert "--port" in error


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--fault=explode:5", "unknown fault"),
        ("--fault=hang", "unknown fault ''"),
        ("--fault=hang:many", "PER_MILLION"),
        ("--settings={", "--settings"),
    ],
)
def test_a_wrong_option_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, problem: str
) -> None:
    assert main(["--log", str(tmp_path), option]) == 2
    assert problem in capsys.readouterr().err


def test_a_simulator_that_does_not_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SimulatorStartError, match="no port announced"),
            start_in_subprocess(tmp_path, port=port),
        ):
            pass


def test_faults_drawn_from_the_seed_are_the_same_in_every_run(tmp_path: Path) -> None:
    settings = ServerSettings(seed=9, faults_per_million={"server_error": 300_000})
    outcomes = []
    for name in ("first", "second"):
        with start_in_subprocess(tmp_path / name, settings=settings) as simulator:
            lab = Lab(simulator)
            for _ in range(30):
                lab.exchange(raw_request(CHAT, BODY, lab.headers(lab.new_id())))
        calls = read_truth(tmp_path / name)
        outcomes.append([call.ended and call.ended.http_status for call in calls])
    assert outcomes[0] == outcomes[1]
    assert set(outcomes[0]) == {200, 500}


def test_settings_choose_keys_and_prefixes(tmp_path: Path) -> None:
    settings = ServerSettings(key_prefix="sk-mine-", openai_prefix="/oa", anthropic_prefix="/an")
    with start_in_subprocess(tmp_path, settings=settings) as simulator:
        lab = Lab(simulator)
        key = {"authorization": "Bearer sk-mine-1"}
        good, _ = lab.exchange(raw_request("/oa/v1/chat/completions", BODY, key))
        bad, _ = lab.exchange(raw_request("/oa/v1/chat/completions", BODY))
    assert b" 200 " in good.splitlines()[0]
    assert b" 401 " in bad.splitlines()[0]


def test_stopping_lets_answers_end(tmp_path: Path) -> None:
    with start_in_subprocess(tmp_path) as simulator:
        lab = Lab(simulator)
        size = lab.headers("slow", size="input=1;output=20;events=20;pause_ms=10")
        body = BODY[:-1] + b',"stream":true}'

        def stop(data: bytes) -> bool:
            if b'"content"' in data and not stopped:
                stopped.append(True)
                subprocess.run(["kill", "-TERM", str(simulator.pid)], check=True)
            return False

        stopped: list[bool] = []
        data, _ = lab.exchange(raw_request(CHAT, body, size), until=stop)
    assert b"[DONE]" in data
    assert [call.ended and call.ended.outcome for call in read_truth(tmp_path)] == ["ok"]
