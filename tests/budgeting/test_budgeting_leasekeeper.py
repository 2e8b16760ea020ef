"""The process that shares budgets: its name, its memory of others, how it starts and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.budgeting.hosts_kit import Host, Valkey, rule

from tollbook.budgets.guard import Refused
from tollbook.config import Config
from tollbook.config.budgets_shared import BudgetsShared
from tollbook.console.leasekeeper import NoClientError, connect, main, read_host
from tollbook.supervisor.run import Supervisor

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "tollbook.console.leasekeeper"


def test_a_process_leases_for_the_calls_of_its_host(tmp_path: Path) -> None:
    valkey = Valkey()
    host = Host(tmp_path, "unused", valkey, rule(1000))
    environ = os.environ | {"K_VALKEY": valkey.url, "TOLLBOOK_BUDGETS_SHARED__URL_ENV": "K_VALKEY"}
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "--data", str(host.root), "--exit-on-stdin-eof"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, cwd=tmp_path,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"budget leases: sharing\n"
        found = host.admit(100)
        for _ in range(400):
            if not isinstance(found, Refused):
                break
            time.sleep(0.02)
            found = host.admit(100)
        assert not isinstance(found, Refused)
        assert host.granted() == 150
        named = read_host(host.root)
        process.stdin.close()
        assert process.wait(20) == 0
        assert read_host(host.root) == named
        assert (host.root / "budgets.host").stat().st_mode & 0o777 == 0o600
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
        host.close()
        valkey.kill()


def test_without_an_address_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--data", str(tmp_path)]) == 2
    assert "set [budgets_shared] url" in capsys.readouterr().err


def test_an_address_that_is_none_is_told_without_its_password() -> None:
    with pytest.raises(NoClientError) as refused:
        connect("http://user:secret@host", BudgetsShared())
    assert "secret" not in refused.value.message


def test_a_damaged_host_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "budgets.host").write_bytes(b"{")
    named = read_host(tmp_path)
    assert read_host(tmp_path) == named


@pytest.mark.parametrize(("address", "count"), [(None, 0), ("redis://127.0.0.1:1/0", 1)])
def test_the_supervisor_starts_one_only_where_budgets_are_shared(
    tmp_path: Path, address: str | None, count: int
) -> None:
    config = Config(budgets_shared=BudgetsShared(url=address))
    made = Supervisor(config, config_path=None, data_dir=tmp_path, environ={})
    assert len(made.sharers) == count
