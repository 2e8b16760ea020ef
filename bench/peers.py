"""Part ``peers``: the same traffic through other gateways; speed, memory, and what each books.

Peers are installed by ``bench/install_peers.sh`` and left out where they are not there. The table
of accuracy is written to ``bench/results/peers.md``.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench import machine
from bench.answers import request_body, request_headers
from bench.figures import Figure, figure
from bench.peer_gateways import Booked, booked_by, installed, running_peer, wait_for_books
from bench.peer_traffic import CASES, MisbehavingProvider, play
from bench.procs import Processes, first_line
from bench.wrk import run_wrk

if TYPE_CHECKING:
    from bench.peer_gateways import Peer
    from bench.wrk import WrkRun

_CONNECTIONS = 16
_RUN_S = 5
_TABLE = machine.ROOT / "bench" / "results" / "peers.md"
_NOTHING = Booked(0, 0, 0)
_HEAD = """# Peers side by side

Written by `make bench ONLY=peers`. The same calls went through each gateway to a provider that
misbehaves as real ones do; the amounts are what each one's own books say afterwards, held against
what the provider bills by list price. `-` is lost, `+` is counted too much, `ok` is exact.
Portkey's open-source gateway keeps no books of cost, so all is lost there by design.

"""


def run() -> list[Figure]:
    """Measure every peer that is installed."""
    figures: list[Figure] = []
    books: dict[str, dict[str, Booked]] = {}
    names = installed()
    with tempfile.TemporaryDirectory(prefix="tollbook-peers-") as directory:
        for name in names:
            work = Path(directory) / name
            figures += _speed(name, work / "speed")
            books[name] = _accuracy(name, work / "accuracy")
    _TABLE.write_text(_HEAD + _table(books), encoding="utf-8")
    for name in names:
        lost, doubled = _sums(books[name])
        figures.append(figure(f"peers.{name}.lost", lost / 1e9, "USD", baseline=_due() / 1e9,
                              baseline_is="billed by the provider"))  # fmt: skip
        figures.append(figure(f"peers.{name}.doubled", doubled / 1e9, "USD"))
    for name in ("litellm", "portkey"):
        if name not in names:
            figures.append(figure(f"peers.{name}", None, "", note="not installed"))
    return figures


def _speed(name: str, work: Path) -> list[Figure]:
    with Processes() as processes:
        upstream = processes.start_python(["bench.upstream"], core=machine.LOAD_CORE)
        port = int(first_line(upstream, "the canned provider"))
        with running_peer(name, processes, work, f"http://127.0.0.1:{port}/plain") as peer:
            requests = work / "requests"
            _write_requests(requests, peer)
            run_wrk(processes, peer.port, requests, connections=_CONNECTIONS, duration_s=2)
            most = run_wrk(
                processes, peer.port, requests, connections=_CONNECTIONS, duration_s=_RUN_S
            )
            one = run_wrk(processes, peer.port, requests, connections=1, duration_s=_RUN_S)
            memory = _memory(peer.pid)
        direct_requests = work / "direct"
        _write_lines(direct_requests, "/plain/v1/chat/completions", {})
        direct = run_wrk(processes, port, direct_requests, connections=1, duration_s=2)
    alone = f"one connection, {one.requests} requests, against the provider itself"
    return [
        figure(f"peers.{name}.requests", most.per_s, "requests/s",
               note=f"{_CONNECTIONS} connections, plain answers of 1 KB, one core"),
        figure(f"peers.{name}.added_p50", _added(one, one.p50_us, direct.p50_us), "ms", note=alone),
        figure(f"peers.{name}.added_p99", _added(one, one.p99_us, direct.p99_us), "ms", note=alone),
        figure(f"peers.{name}.memory", memory / 2**20, "MiB", note="all processes, after the load"),
    ]  # fmt: skip


def _added(run: WrkRun, took_us: int, direct_us: int) -> float | None:
    """Return milliseconds; None where the peer answered nothing in time."""
    return (took_us - direct_us) / 1000 if run.requests else None


def _write_requests(path: Path, peer: Peer) -> None:
    _write_lines(path, f"{peer.prefixes['openai']}/v1/chat/completions", peer.headers)


def _write_lines(path: Path, url_path: str, headers: dict[str, str]) -> None:
    """Write one request in the form that wrk.lua reads."""
    body = request_body(1024, is_stream=False)
    fields = {**request_headers(1), **headers}
    with path.open("wb") as file:
        file.write(f"{url_path} {len(fields)} {len(body)}\n".encode())
        for name, value in fields.items():
            file.write(f"{name}: {value}\n".encode())
        file.write(body)


def _memory(pid: int) -> int:
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])


def _accuracy(name: str, work: Path) -> dict[str, Booked]:
    with MisbehavingProvider() as provider, Processes() as processes:
        with running_peer(name, processes, work, f"http://127.0.0.1:{provider.port}") as peer:
            asyncio.run(play(peer.port, peer.prefixes, peer.headers))
            wait_for_books(name)
        return booked_by(name, work)


def _due() -> int:
    return sum(case.billed.nano_usd * case.times for case in CASES)


def _sums(books: dict[str, Booked]) -> tuple[int, int]:
    """Return what is lost and what is too much, in 10^-9 dollars."""
    off = [
        books.get(case.name, _NOTHING).nano_usd - case.billed.nano_usd * case.times
        for case in CASES
    ]
    return -sum(one for one in off if one < 0), sum(one for one in off if one > 0)


def _table(books: dict[str, dict[str, Booked]]) -> str:
    lines = [
        "| what is odd | tokens billed | USD billed | " + " | ".join(books) + " |",
        "| --- " * (3 + len(books)) + "|",
    ]
    for case in CASES:
        due = case.billed.nano_usd * case.times
        tokens = case.billed.tokens * case.times
        cells = [_cell(book.get(case.name, _NOTHING), tokens, due) for book in books.values()]
        lines.append(f"| {case.says} | {tokens:,} | {_usd(due)} | " + " | ".join(cells) + " |")
    sums = [_sums(book) for book in books.values()]
    lost, more = (" | ".join(_usd(pair[at]) for pair in sums) for at in (0, 1))
    lines.append(f"| **lost** | | {_usd(_due())} | {lost} |")
    lines.append(f"| **too much** | | | {more} |")
    return "\n".join(lines) + "\n"


def _cell(booked: Booked, tokens: int, due: int) -> str:
    off_tokens, off = booked.tokens - tokens, booked.nano_usd - due
    if not off and not off_tokens:
        return "ok"
    sign = "+" if off > 0 else "-" if off < 0 else ""
    return f"{sign}{_usd(abs(off))} USD, {off_tokens:+,} tokens, {booked.entries} entries"


def _usd(nano: int) -> str:
    return f"{nano // 10**9}.{nano % 10**9:09d}"
