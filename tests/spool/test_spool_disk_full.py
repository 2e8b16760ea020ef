"""A disk that is really full: the kernel refuses the bytes, not a stand-in."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tollbook.call import CallClosed, FramesLost
from tollbook.spool import Position, SpoolReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Runs in a process of its own: a limit on file size is the whole process's.
SCRIPT = """
import json, logging, resource, signal, sys
from pathlib import Path
from tollbook.call import CallClosed, Status
from tollbook.config.schema import Spool
from tollbook.spool import SpoolWriter

root, how, total = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ballast = root / "ballast"
logging.disable()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = SpoolWriter(root / "spool", "w1", Spool(memory_ring_bytes=262_144), version="1")
if how == "limit":
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_007, hard))
else:
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            file.truncate(file.tell() - 3 * 4096)
unwritten = None
for number in range(total):
    writer.append(CallClosed(bytes(16), number, Status.OK, usage=(bytes(1000),)))
    writer._retry_at_ns = 0
    if not writer.flush() and unwritten is None:
        unwritten = number
        error = writer.health.error
while_full = writer.health
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
else:
    ballast.unlink()
writer._retry_at_ns = 0
flushed = writer.flush()
after = writer.health
writer.close()
print(json.dumps({
    "unwritten": unwritten, "error": error, "flushed": flushed,
    "ok_while_full": while_full.ok, "ring": while_full.ring_bytes,
    "ok_after": after.ok, "lost": after.frames_lost,
}))
"""


@pytest.fixture(params=["limit", "tmpfs"])
def full_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory and the way to fill it: a small file system where the system lets us mount one.

    Where it does not, both parameters run with the limit, which every system has.
    """
    how = request.param
    if how == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tollbook-test", str(tmp_path)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            how = "limit"
    try:
        yield tmp_path, how
    finally:
        if how == "tmpfs":
            subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("total", [100, 600])
def test_a_full_disk_that_is_freed_again(full_disk: tuple[Path, str], total: int) -> None:
    root, how = full_disk
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root), how, str(total)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert 5 <= said["unwritten"] < 20  # the disk took some frames first
    assert said["error"] == ("File too large" if how == "limit" else "No space left on device")
    assert not said["ok_while_full"]
    assert said["flushed"]
    assert said["ok_after"]
    reader, position, frames = SpoolReader(root / "spool"), Position("w1"), []
    while True:
        chunk = reader.read(position)
        frames += [frame for frame, _, _ in chunk.frames]
        position = chunk.next
        if chunk.at_end:
            break
    assert chunk.is_finished
    assert chunk.torn is None
    numbers = [frame.closed_at_ns for frame in frames if isinstance(frame, CallClosed)]
    told = sum(frame.frames for frame in frames if isinstance(frame, FramesLost))
    assert told == said["lost"]
    assert len(numbers) + told == total
    if total == 100:
        assert numbers == list(range(100))  # all of it fitted into memory
    else:
        assert told > 200
        kept = said["unwritten"] + 1  # the frame that was partly on file is completed
        assert numbers[:kept] == list(range(kept))
        assert numbers[kept:] == list(range(kept + told, total))
