"""What is checked before anything starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tollbook.supervisor.preflight import (
    AlreadyRunningError,
    DataDirectory,
    DataDirectoryError,
    PortInUseError,
    check_port,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_port_in_use_is_one_line_that_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            check_port("the gateway", "127.0.0.1", port, "gateway.port")

    assert f"127.0.0.1:{port}" in caught.value.message
    assert "TOLLBOOK_GATEWAY__PORT" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


def test_a_port_shared_by_another_instance_is_in_use_too() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()

        with pytest.raises(PortInUseError):
            check_port("the gateway", "127.0.0.1", other.getsockname()[1], "gateway.port")


def test_a_free_port_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

    check_port("the gateway", "127.0.0.1", port, "gateway.port")


def test_a_host_that_is_not_ours_is_one_line() -> None:
    with pytest.raises(PortInUseError):
        check_port("the gateway", "192.0.2.1", 8080, "gateway.port")


def test_the_data_directory_is_made_private(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "deep" / "data") as data:
        assert data.path.stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")

    with pytest.raises(DataDirectoryError) as caught:
        DataDirectory(tmp_path / "data")

    assert str(tmp_path / "data") in caught.value.message
    assert "--data" in caught.value.message


@pytest.mark.parametrize("mode", [0o000, 0o300])
def test_an_unreadable_data_directory_is_one_line(tmp_path: Path, mode: int) -> None:
    """Run as an ordinary user, since nothing is unreadable to root."""
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    tmp_path.chmod(0o755)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from tollbook.errors import TollbookError\n"
        "from tollbook.supervisor.preflight import DataDirectory\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: DataDirectory(Path(sys.argv[1]))\n"
        "except TollbookError as error: print(error.message); sys.exit(error.exit_code)\n"
    )
    for parent in list(data.parents)[:-1]:
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)

    done = subprocess.run(
        [sys.executable, "-c", script, str(data)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (2, "")
    assert "permission denied" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_second_instance_on_the_same_data_is_refused_with_the_process(tmp_path: Path) -> None:
    with DataDirectory(tmp_path):
        with pytest.raises(AlreadyRunningError) as caught:
            DataDirectory(tmp_path)

        assert str(os.getpid()) in caught.value.message
    with DataDirectory(tmp_path):
        pass
