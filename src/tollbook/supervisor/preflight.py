"""Checks before anything starts, so that a fault in the surroundings is one line and no process."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from typing import TYPE_CHECKING, Self

from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

LOCK_FILE = "tollbook.lock"


class PortInUseError(TollbookError):
    """A listener's address is taken, or cannot be listened on at all."""

    def __init__(
        self, what: str, host: str, port: int, setting: str, problem: str, *, is_taken: bool = True
    ) -> None:
        stop = "stop the other program or set" if is_taken else "set"
        named = setting if is_taken else f"{setting.partition('.')[0]}.host"
        super().__init__(
            f"{what} cannot listen on {host}:{port}: {problem.lower()}; {stop} "
            f"{named} (TOLLBOOK_{named.replace('.', '__').upper()})"
        )


class DataDirectoryError(TollbookError):
    """The data directory cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"data directory {path}: {problem}; choose another with --data")


class AlreadyRunningError(TollbookError):
    """Another ``tollbook up`` works on the same data directory."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(
            f"data directory {path} is in use by a running tollbook (process {pid or 'unknown'}); "
            f"stop it, or choose another directory with --data"
        )


def check_port(what: str, host: str, port: int, setting: str) -> None:
    """Fail when an address cannot be bound alone.

    The workers share their port (SO_REUSEPORT), so without this check a second instance would
    silently take half of the connections.

    Raises:
        PortInUseError: naming the setting to change.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, proto) as probe:
            # Without SO_REUSEADDR a connection in TIME_WAIT of the last run would count as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        # Below 1024 the port is at fault, like one that is taken; else it is the address.
        of_port = error.errno in {errno.EADDRINUSE, errno.EACCES}
        raise PortInUseError(
            what, host, port, setting, error.strerror or str(error), is_taken=of_port
        ) from error


class DataDirectory:
    """The data directory, made private to its owner and locked while it is in use.

    Raises:
        DataDirectoryError: it cannot be made, read or written.
        AlreadyRunningError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.listdir(path)  # noqa: PTH208 -- only whether it can be read matters
        except OSError as error:
            raise DataDirectoryError(path, (error.strerror or str(error)).lower()) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(self._lock, 20).decode(errors="replace").strip()
            os.close(self._lock)
            raise AlreadyRunningError(path, pid) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._lock)
