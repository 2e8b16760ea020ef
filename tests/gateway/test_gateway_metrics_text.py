"""Metrics of several workers as one text, and the files they pass them in."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tollbook import clock
from tollbook.capture.gateway.metrics import Metrics
from tollbook.capture.gateway.metrics_board import MAX_SIZE_BYTES, MetricsBoard, clear_board
from tollbook.capture.gateway.metrics_text import (
    Family,
    added,
    counters,
    parse,
    render,
    render_workers,
)

if TYPE_CHECKING:
    from pathlib import Path

STARTER = 4242
REQUESTS = "tollbook_gateway_requests_total"


class Spool:
    ok, error, ring_bytes, frames_lost, bytes_written = True, None, 0, 0, 1


def text_of(calls: int, *, provider: str = "openai", in_flight: int = 0) -> bytes:
    """Return what a worker says of itself after so many calls."""
    metrics = Metrics()
    metrics.in_flight = in_flight
    for _ in range(calls):
        metrics.request(provider, "chat", 200)
    return metrics.text(Spool(), [(provider, 1, 1, 0)])


def samples(text: bytes, name: str) -> dict[Any, float]:
    """Return the samples of a name by their labels, as Prometheus' own parser reads them."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name
    }


def of_worker(found: dict[Any, float]) -> dict[str, float]:
    return {dict(labels)["worker"]: value for labels, value in found.items()}


_names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
_labels = st.dictionaries(_names, st.text(max_size=8), max_size=2).map(
    lambda pairs: (
        "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items()) + "}"
        if pairs
        else ""
    )
)
_families = st.dictionaries(
    _names,
    st.builds(
        Family,
        st.sampled_from(["counter", "gauge"]),
        st.from_regex(r"[A-Z][a-z ]{0,9}\.", fullmatch=True),
        st.dictionaries(_labels, st.integers(0, 10**20), max_size=4),
    ),
    max_size=4,
)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@given(_families)
def test_a_text_is_read_as_it_was_written(families: dict[str, Family]) -> None:
    assert parse(render(families)) == families


@given(_families, _families)
def test_counts_of_earlier_lives_are_added_and_gauges_are_not(
    now: dict[str, Family], earlier: dict[str, Family]
) -> None:
    before = {name: (f.kind, dict(f.samples)) for name, f in now.items()}
    total = added(now, counters(earlier))
    assert {name: (f.kind, f.samples) for name, f in now.items()} == before, "left as they were"
    for name, family in total.items():
        for labels, value in family.samples.items():
            past = earlier[name] if name in earlier and earlier[name].kind == "counter" else None
            mine = now[name].samples.get(labels, 0) if name in now else 0
            assert value == mine + (past.samples.get(labels, 0) if past else 0)


@pytest.mark.parametrize(
    "text",
    [
        "tollbook_lost 1",
        "# HELP a A.\n# TYPE a gauge\nb 1",
        "# HELP a A.\n# TYPE a gauge\na one",
        "# HELP a A.\n# TYPE a gauge\na",
        "# HELP a A.\n# TYPE a gauge\na -1",
    ],
)
def test_a_damaged_text_is_none(text: str) -> None:
    assert parse(text) is None


def test_each_family_is_there_once_with_every_worker() -> None:
    first, second = (parse(text_of(n).decode()) for n in (1, 2))
    assert first is not None
    assert second is not None
    text = render_workers([(0, first), (1, second)])
    assert text.count(f"# TYPE {REQUESTS} counter") == 1
    assert of_worker(samples(text.encode(), REQUESTS)) == {"0": 1, "1": 2}
    assert f'{REQUESTS}{{worker="1",provider="openai",operation="chat",status="200"}} 2' in text
    assert 'tollbook_gateway_in_flight{worker="0"} 0' in text


def test_whoever_is_asked_answers_for_all(tmp_path: Path) -> None:
    boards = [MetricsBoard(tmp_path, worker, 3, starter=STARTER) for worker in range(3)]
    for worker, board in enumerate(boards):
        board.publish(text_of(worker + 1))
    for worker, board in enumerate(boards):
        answer = board.answer(text_of(worker + 1))
        assert of_worker(samples(answer, REQUESTS)) == {"0": 1, "1": 2, "2": 3}
        assert samples(answer, "tollbook_gateway_workers")[("state", "live"),] == 3


def test_what_was_told_is_told_by_the_next_one_too(tmp_path: Path) -> None:
    one, two = (MetricsBoard(tmp_path, worker, 2, starter=STARTER) for worker in range(2))
    one.publish(text_of(1))
    assert of_worker(samples(one.answer(text_of(7)), REQUESTS))["0"] == 7
    assert of_worker(samples(two.answer(text_of(0)), REQUESTS))["0"] == 7


def test_the_next_life_goes_on_counting(tmp_path: Path) -> None:
    MetricsBoard(tmp_path, 0, 1, starter=STARTER).publish(text_of(5, in_flight=3))
    second = MetricsBoard(tmp_path, 0, 1, starter=STARTER)
    answer = second.answer(text_of(2, in_flight=1))
    assert of_worker(samples(answer, REQUESTS)) == {"0": 7}
    assert of_worker(samples(answer, "tollbook_gateway_in_flight")) == {"0": 1}
    third = MetricsBoard(tmp_path, 0, 1, starter=STARTER)
    assert of_worker(samples(third.answer(text_of(0)), REQUESTS)) == {"0": 7}
    by_another = MetricsBoard(tmp_path, 0, 1, starter=STARTER + 1)
    assert of_worker(samples(by_another.answer(text_of(1)), REQUESTS)) == {"0": 1}


def test_what_a_dead_worker_counted_stays_and_what_it_held_goes(tmp_path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                             capture_output=True, check=True)  # fmt: skip
    MetricsBoard(tmp_path, 1, 2, starter=STARTER).publish(text_of(4, in_flight=2))
    path = tmp_path / "metrics" / f"{STARTER}.1.prom"
    pid = process.stdout.decode().strip()
    path.write_text(path.read_text().replace(f"# pid {os.getpid()}", f"# pid {pid}"))
    answer = MetricsBoard(tmp_path, 0, 2, starter=STARTER).answer(text_of(1, in_flight=1))
    assert of_worker(samples(answer, REQUESTS)) == {"0": 1, "1": 4}
    assert of_worker(samples(answer, "tollbook_gateway_in_flight")) == {"0": 1}
    states = samples(answer, "tollbook_gateway_workers")
    assert (states[("state", "live"),], states[("state", "ended"),]) == (1, 1)


def test_one_that_hangs_is_said_to_be_silent(tmp_path: Path) -> None:
    MetricsBoard(tmp_path, 1, 2, starter=STARTER).publish(text_of(4, in_flight=2))
    long_ago = clock.unix_ns() - 3600 * clock.NS_PER_S
    os.utime(tmp_path / "metrics" / f"{STARTER}.1.prom", ns=(long_ago, long_ago))
    answer = MetricsBoard(tmp_path, 0, 2, starter=STARTER).answer(text_of(1))
    assert samples(answer, "tollbook_gateway_workers")[("state", "silent"),] == 1
    assert of_worker(samples(answer, REQUESTS)) == {"0": 1, "1": 4}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# pid x\n",
        b"\xff\xfe",
        b"# pid 1\nx",
        b"# pid 1\n" + b"# a\n" * (MAX_SIZE_BYTES // 4 + 9),
    ],
)
def test_a_file_that_cannot_be_read_is_told_of(tmp_path: Path, content: bytes) -> None:
    board = MetricsBoard(tmp_path, 0, 3, starter=STARTER)
    board.publish(text_of(1))
    (tmp_path / "metrics" / f"{STARTER}.1.prom").write_bytes(content)
    answer = board.answer(text_of(1))
    assert of_worker(samples(answer, REQUESTS)) == {"0": 1}
    assert samples(answer, "tollbook_gateway_workers")[("state", "unread"),] == 2


def test_without_the_disk_a_worker_answers_for_itself(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("not a folder")
    answer = MetricsBoard(tmp_path, 0, 2, starter=STARTER).answer(text_of(3))
    assert of_worker(samples(answer, REQUESTS)) == {"0": 3}


def test_it_writes_only_what_changed_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = 10**18
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns)
    board = MetricsBoard(tmp_path, 0, 1, starter=STARTER)
    path = tmp_path / "metrics" / f"{STARTER}.0.prom"

    def is_written(calls: int) -> bool:
        before = path.stat().st_ino if path.exists() else 0
        board.publish(text_of(calls))
        return path.stat().st_ino != before

    assert is_written(1)
    assert not is_written(1)
    assert is_written(2)
    now_ns += 20 * clock.NS_PER_S
    assert is_written(2), "so that nobody takes it for silent"
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    clear_board(tmp_path)
    clear_board(tmp_path)
    assert not path.parent.exists()


def test_what_was_offered_earlier_is_not_written_over_what_was_told_later(tmp_path: Path) -> None:
    one, two = (MetricsBoard(tmp_path, worker, 2, starter=STARTER) for worker in range(2))
    write = one.offer(text_of(1))
    assert write is not None
    one.answer(text_of(5))
    write()
    assert of_worker(samples(two.answer(text_of(0)), REQUESTS))["0"] == 5
    assert one.offer(text_of(5)) is None, "nothing changed"


def test_a_text_that_is_too_large_is_not_written(tmp_path: Path) -> None:
    metrics = Metrics()
    for number in range(MAX_SIZE_BYTES // 60):
        metrics.request("openai", f"operation-{number}", 200)
    board = MetricsBoard(tmp_path, 0, 1, starter=STARTER)
    answer = board.answer(metrics.text(Spool(), []))
    assert len(samples(answer, REQUESTS)) == MAX_SIZE_BYTES // 60
    assert not (tmp_path / "metrics").exists()
