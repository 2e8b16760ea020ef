"""Read a key where it lies: a variable, a file, what a program prints. Runs in threads.

What is read is one line of printable ASCII, or a JSON object that says when the key expires, such
as ``az account get-access-token``, ``gcloud`` and credential helpers print. A key is never in a
problem's text.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from tollbook import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.config.credentials import KeySource

T = TypeVar("T")

MAX_BYTES: Final = 64 * 1024
_KEY: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_NAMES: Final = ("key", "api_key", "token", "accessToken", "access_token")
_EXPIRIES: Final = ("expires_at", "expires_on", "expiresOn", "expiration")
FILE_POLL_S: Final = 1.0
NEVER_S: Final = float("inf")


class Found(NamedTuple, Generic[T]):
    """A key, and when it expires (seconds since the epoch), where that is known."""

    value: T
    expires_at_s: float | None = None

    def __repr__(self) -> str:
        return f"Found(expires_at_s={self.expires_at_s})"


class Missing(NamedTuple):
    """Why there is no key, in words for the operator."""

    problem: str


class Reader(Protocol[T]):
    """Where one key comes from."""

    description: str
    poll_s: float
    """How often it is worth reading again."""

    def read(self, *, is_refused: bool) -> Found[T] | Missing | None:
        """Return the key now, None where nothing changed. Blocks.

        ``is_refused`` says that the provider refused what was read last.
        """


class EnvReader:
    """A variable: read once, for a process's environment does not change."""

    poll_s = NEVER_S

    def __init__(self, source: KeySource, environ: Mapping[str, str]) -> None:
        self.description = source.description
        self._name = source.env or ""
        self._environ = environ

    def read(self, *, is_refused: bool) -> Found[str] | Missing | None:  # noqa: ARG002 -- it stays what it is
        """Return the variable's value."""
        text = self._environ.get(self._name, "").strip()
        if not text:
            return Missing(f"the environment variable {self._name} is not set")
        return _key_in(text, f"the environment variable {self._name}")


class FileReader:
    """A file, read again when its time, size or inode changes (a mounted secret is a new link)."""

    poll_s = FILE_POLL_S

    def __init__(self, source: KeySource) -> None:
        self.description = source.description
        self._path = Path(source.file or "")
        self._seen: tuple[int, int, int] | None = None

    def read(self, *, is_refused: bool) -> Found[str] | Missing | None:
        """Return what the file holds."""
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen == self._seen and not is_refused:
                return None
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            self._seen = None
            return Missing(f"the key file {self._path} cannot be read: {error.strerror}")
        self._seen = seen
        return _key_of(data, f"the key file {self._path}")


class CommandReader:
    """A program, run without a shell, that prints the key."""

    def __init__(self, source: KeySource) -> None:
        self.description = source.description
        self.poll_s = source.refresh_s
        self._argv = list(source.command or ())
        self._timeout_s = source.timeout_s

    def read(self, *, is_refused: bool) -> Found[str] | Missing | None:  # noqa: ARG002 -- it runs anyway
        """Run it; what it says on standard error is thrown away, since it may hold the key."""
        name = f"the key command {self._argv[0]}"
        try:
            process = subprocess.Popen(  # noqa: S603 -- the operator's own program, no shell
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Missing(
                f"{name} cannot be run: {getattr(error, 'strerror', None) or 'bad name'}"
            )
        late = threading.Event()

        def kill() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(self._timeout_s, kill)
        timer.daemon = True
        timer.start()
        try:
            with process:
                assert process.stdout is not None
                data = process.stdout.read(MAX_BYTES + 1)
                if len(data) > MAX_BYTES:
                    _kill(process)
        finally:
            timer.cancel()
        if late.is_set():
            return Missing(f"{name} took longer than {self._timeout_s:g} s")
        if len(data) > MAX_BYTES:
            return Missing(f"{name} printed more than {MAX_BYTES} bytes")
        if process.returncode != 0:
            return Missing(f"{name} failed with exit code {process.returncode}")
        return _key_of(data, name)


def reader_of(source: KeySource, environ: Mapping[str, str]) -> Reader[str]:
    """Return what reads a configured source."""
    if source.env is not None:
        return EnvReader(source, environ)
    if source.file is not None:
        return FileReader(source)
    return CommandReader(source)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started in its session."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _key_of(data: bytes, name: str) -> Found[str] | Missing:
    if len(data) > MAX_BYTES:
        return Missing(f"{name} holds more than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return Missing(f"{name} holds no text")
    if not text:
        return Missing(f"{name} holds nothing")
    if text.startswith("{"):
        return _key_in_json(text, name)
    return _key_in(text, name)


def _key_in(text: str, name: str) -> Found[str] | Missing:
    if _KEY.fullmatch(text) is None:
        return Missing(f"{name} holds no key: expected one word of printable ASCII")
    return Found(text)


def _key_in_json(text: str, name: str) -> Found[str] | Missing:
    try:
        read: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return Missing(f"{name} holds JSON that cannot be read")
    key = next((read[one] for one in _NAMES if isinstance(read.get(one), str)), None)
    if key is None:
        return Missing(f"{name} holds JSON without any of {', '.join(_NAMES)}")
    found = _key_in(key.strip(), name)
    if isinstance(found, Missing):
        return found
    return Found(found.value, _expiry_s(read))


def _expiry_s(read: Mapping[str, Any]) -> float | None:
    for name in _EXPIRIES:
        if (at_s := _moment_s(read.get(name))) is not None:
            return at_s
    lifetime_s = _moment_s(read.get("expires_in"))
    return None if lifetime_s is None else clock.unix_ns() / clock.NS_PER_S + lifetime_s


def _moment_s(value: object) -> float | None:
    """Return seconds given as a number, or a moment as ISO 8601 with its zone."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    with contextlib.suppress(ValueError):
        return float(value)
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(value)
        # Azure's expiresOn has no zone and means local time: expires_on beside it is exact.
        return None if moment.tzinfo is None else moment.timestamp()
    return None
