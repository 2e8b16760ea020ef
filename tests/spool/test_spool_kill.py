"""Processes that write are killed at any moment; what they confirmed is read exactly once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tollbook.spool import Position, SpoolReader

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import os, sys, time
from pathlib import Path
from tollbook.call import CallClosed, Status
from tollbook.config.schema import Spool
from tollbook.spool import SpoolWriter

writer = SpoolWriter(Path(sys.argv[1]), sys.argv[2], Spool(segment_max_bytes=65_536), version="1")
number = 0
while True:
    for _ in range(number % 5 + 1):
        writer.append(CallClosed(bytes(16), number, Status.OK, usage=(bytes(number % 1000),)))
        number += 1
    if writer.flush():
        time.sleep(0.0005)
        os.write(1, b"%d\\n" % number)  # confirmed, as the gateway confirms by answering
"""


def test_kill_9_again_and_again(tmp_path: Path) -> None:
    confirmed: dict[str, int] = {}
    got: dict[str, list[int]] = {}
    positions: dict[str, Position] = {}
    finished: set[str] = set()
    reader = SpoolReader(tmp_path)

    def read_all() -> None:
        for state in reader.writers():
            name = state.name
            while name not in finished:
                chunk = reader.read(positions.setdefault(name, Position(name)), 100_000)
                got.setdefault(name, []).extend(
                    frame.closed_at_ns  # type: ignore[union-attr]
                    for frame, _, _ in chunk.frames
                )
                positions[name] = chunk.next
                if chunk.torn is not None:
                    reader.cut_torn_tail(chunk.torn)
                if chunk.is_finished:
                    finished.add(name)
                if chunk.at_end:
                    break

    for life in range(12):
        name = f"w{life:02d}"
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), name], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            descriptor = process.stdout.fileno()
            said = os.read(descriptor, 100)
            for _ in range(random.randrange(25)):
                said = said[-30:] + os.read(descriptor, 4096)
                read_all()
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()
        confirmed[name] = int((said + rest).rsplit(b"\n", 2)[-2])
        read_all()

    assert set(finished) == set(confirmed)
    for name, count in confirmed.items():
        assert got[name] == list(range(len(got[name])))
        assert len(got[name]) >= count
    again = SpoolReader(tmp_path)
    assert all(again.read(position).torn is None for position in positions.values())
