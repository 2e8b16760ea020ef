"""Clients of other languages and frameworks, set up once by tools/setup_clients.sh."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import free_ports, make_house

from tollbook.simulator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["make_house"]

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
_START_S = 90.0
_RUN_S = 120.0


@pytest.fixture(scope="session")
def installed() -> Path:
    """Return the directory of the other clients, made if need be."""
    subprocess.run([ROOT / "tools" / "setup_clients.sh"], check=True)
    return ROOT / ".clients"


def run_script(command: list[str], *, cwd: Path | None = None) -> Any:
    """Run a script and return the JSON that its last line holds."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=_RUN_S
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def litellm_proxy(installed: Path, directory: Path, config: str) -> Iterator[str]:
    """Run LiteLLM's proxy until the block ends, and return its URL."""
    (port,) = free_ports(1)
    file = directory / "litellm.yaml"
    file.write_text(config)
    environ = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    log = directory / "litellm.log"
    with log.open("wb") as output, subprocess.Popen(
        [installed / "venv" / "bin" / "litellm", "--config", file, "--host", "127.0.0.1",
         "--port", str(port), "--num_workers", "1"],
        env=environ, stdout=output, stderr=subprocess.STDOUT, cwd=directory,
    ) as proxy:  # fmt: skip
        try:
            deadline = time.monotonic() + _START_S
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert proxy.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, "LiteLLM did not start"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            proxy.terminate()


def assert_ledger_is_the_truth(house: Any, calls: int, tenant: str = "acme") -> list[Any]:
    """Stop the house and hold each billed call against the provider's own record of it."""
    house.stop()
    truth = {
        one.ended.provider_request_id: one
        for one in read_truth(house.simulator.log_dir)
        if one.ended is not None
    }
    rows: list[Any] = house.records("SELECT * FROM entries ORDER BY called_at")
    billed = [row for row in rows if row["cost_usd"]]
    assert len(billed) == calls, [(row["operation"], row["status"]) for row in rows]
    for row in billed:
        ended = truth[row["provider_request_id"]].ended
        assert ended is not None
        assert row["tenant_id"] == tenant
        assert row["usage_source"] == "reported"
        assert f"{row['cost_usd']:.12f}" == ended.cost_usd
    assert sum(one.is_billed for one in truth.values()) == calls
    return rows
