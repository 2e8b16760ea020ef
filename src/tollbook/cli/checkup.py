"""The single checks of ``tollbook doctor``; each returns findings and never raises on a fault."""

from __future__ import annotations

import http.client
import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NamedTuple

from tollbook.books.records import FILE_NAME
from tollbook.books.store import open_books
from tollbook.config.receiver import needs_key, receiver_ports
from tollbook.console.client import open_source
from tollbook.errors import TollbookError
from tollbook.spool.reader import SpoolReader

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.config import Config
    from tollbook.config.receiver import Receiver

_PRIVATE_BITS = 0o077
_WAIT_S = 5.0
_ANSWER_MAX_BYTES = 4096


class Finding(NamedTuple):
    """The outcome of one check."""

    check: str
    state: Literal["ok", "warn", "fail"]
    detail: str


def check_directory(data_dir: Path) -> list[Finding]:
    """Whether the data directory can be used and is private."""
    name = "data directory"
    if not data_dir.exists():
        return [Finding(name, "warn", f"{data_dir} does not exist yet; tollbook up makes it")]
    if not data_dir.is_dir():
        return [Finding(name, "fail", f"{data_dir} is not a directory; choose another with --data")]
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        return [Finding(name, "fail", f"{data_dir} cannot be read and written; check its owner")]
    mode = data_dir.stat().st_mode & 0o777
    if mode & _PRIVATE_BITS:
        return [Finding(name, "warn", f"{data_dir} is open to others ({mode:o}); chmod 700 it")]
    return [Finding(name, "ok", str(data_dir))]


def check_books(data_dir: Path) -> list[Finding]:
    """Whether the books can be opened."""
    if not (data_dir / FILE_NAME).exists():
        return [Finding("books", "warn", "none yet")]
    try:
        with open_books(data_dir) as books:
            return [Finding("books", "ok", str(books.path))]
    except TollbookError as error:
        return [Finding("books", "fail", error.message)]


def check_ledger(config: Config, data_dir: Path) -> list[Finding]:
    """Whether the ledger answers, and what it says is wrong."""
    if not data_dir.exists():
        return []
    try:
        with open_source(config, data_dir) as source:
            status = source.status()
    except TollbookError as error:
        is_new = type(error).__name__ == "NoLedgerError"
        return [Finding("ledger", "warn" if is_new else "fail", error.message)]
    findings = [
        Finding(
            "ledger", "ok",
            f"{status['entries']:,} entries, complete until {status['complete_until'] or 'never'}",
        )
    ]  # fmt: skip
    findings += [Finding("ledger", "fail", problem) for problem in status["problems"]]
    findings += [
        Finding("spool", "fail", f"{one['writer']} is damaged at segment {one['segment']}, "
                "see tollbook doctor --skip-corrupt")
        for one in status["writers"]
        if one["state"] == "corrupt"
    ]  # fmt: skip
    findings += [
        Finding("stitching", "warn", f"{status['stitching'][state]:,} call(s) {state}, see tollbook"
                f" report stitching --since 31d --show {state}")
        for state in ("conflicting", "ambiguous", "orphaned")
        if status["stitching"][state]
    ]  # fmt: skip
    findings += [
        Finding("incident", "warn", f"{one['at']} {one['kind']} {one['writer']}: {one['detail']}")
        for one in status["latest_incidents"]
    ]
    return findings


def check_spool(config: Config, data_dir: Path) -> list[Finding]:
    """Who writes the spool."""
    del config
    try:
        found = SpoolReader(data_dir / "spool").writers()
    except TollbookError as error:
        return [Finding("spool", "fail", error.message)]
    alive = sum(one.is_alive for one in found)
    return [Finding("spool", "ok", f"{len(found)} writer(s), {alive} alive")]


def check_ports(config: Config, *, is_running: bool) -> list[Finding]:
    """Whether the ports are free, unless a running Tollbook has them."""
    if is_running:
        return [Finding("ports", "ok", "in use by the running tollbook")]
    # The supervisor's own check, so that doctor and up agree.
    from tollbook.supervisor.preflight import check_port  # noqa: PLC0415 -- only needed here

    findings = []
    for what, host, port, setting in (
        ("the gateway", config.gateway.host, config.gateway.port, "gateway.port"),
        ("the ledger's API", config.console.host, config.console.port, "console.port"),
    ):
        try:
            check_port(what, host, port, setting)
            findings.append(Finding("ports", "ok", f"{what}: {host}:{port} is free"))
        except TollbookError as error:
            findings.append(Finding("ports", "fail", error.message))
    settings = config.receiver
    for port, setting in receiver_ports(settings) if settings.enabled is not False else ():
        try:
            check_port("the receiver", settings.host, port, setting)
            findings.append(Finding("ports", "ok", f"the receiver: {settings.host}:{port} is free"))
        except TollbookError as error:
            # Without a word in the settings, up goes on without that port.
            findings.append(Finding("ports", _if_asked_for(settings), error.message))
    return findings


def _if_asked_for(settings: Receiver) -> Literal["fail", "warn"]:
    return "fail" if settings.enabled else "warn"


def check_receiver(config: Config, *, is_running: bool) -> list[Finding]:
    """Whether the receiver of a running Tollbook answers, and who may send to it."""
    settings = config.receiver
    if not is_running or settings.enabled is False or not settings.http_port:
        return []
    where = f"{settings.host}:{settings.http_port}"
    try:
        connection = http.client.HTTPConnection(settings.host, settings.http_port, timeout=_WAIT_S)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            text = response.read(_ANSWER_MAX_BYTES).decode(errors="replace").strip()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        detail = f"{where} does not answer ({error}); see its log"
        return [Finding("receiver", _if_asked_for(settings), detail)]
    if response.status != HTTPStatus.OK:
        return [Finding("receiver", "fail", f"{where}: {text}")]
    who = "with a key" if needs_key(settings, settings.host) else "from this machine, without a key"
    return [Finding("receiver", "ok", f"{where} takes OTLP and frames {who}")]
