"""Where inputs come from: files packed in every way, folders, archives, pipes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from tests.audit_inputs.small_product import TREE, lines, otlp, read_bytes, read_path

from tollbook.audit.inputs.errors import InputNotReadableError, UnknownKindError
from tollbook.audit.inputs.limits import Limits
from tollbook.audit.inputs.sources import kinds, open_inputs
from tollbook.audit.inputs.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = lines(*[otlp(f"{at + 1:032x}") for at in range(100)])
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("packer", PACKERS)
def test_packed_files_are_read(packer: str, tmp_path: Path) -> None:
    packed = PACKERS[packer](DATA)
    got = read_bytes(tmp_path, packed)
    assert len(got.spans) == 300
    assert got.read.compression == packer
    assert got.read.format == "otlp-jsonl"
    assert got.read.read_bytes == got.read.size_bytes == len(packed)
    assert got.troubles == []


@pytest.mark.parametrize("packer", PACKERS)
def test_several_members_are_one_text(packer: str, tmp_path: Path) -> None:
    half = len(DATA) // 2
    packed = PACKERS[packer](DATA[:half]) + PACKERS[packer](DATA[half:])
    got = read_bytes(tmp_path, packed)
    assert len(got.spans) == 300
    assert got.troubles == []


@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_file_that_is_cut_off_is_read_up_to_there(packer: str, tmp_path: Path) -> None:
    data = lines(*[otlp(os.urandom(16).hex()) for _ in range(500)])  # ids do not pack well
    packed = PACKERS[packer](data)
    got = read_bytes(tmp_path, packed[:-20])
    assert got.troubles[-1].problem == f"the {packer} data is cut off"
    if packer in {"gzip", "xz"}:
        assert 1200 <= len(got.spans) <= 1500


@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_file_that_is_damaged_is_told(packer: str, tmp_path: Path) -> None:
    packed = bytearray(PACKERS[packer](DATA))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
    got = read_bytes(tmp_path, bytes(packed))
    # Frames of zstd have no checksum unless asked for, so that damage may show as damaged text
    assert got.troubles
    if packer != "zstd":
        assert got.troubles[-1].problem.startswith(f"the {packer} data is damaged")


@pytest.mark.parametrize("packer", PACKERS)
def test_what_expands_without_end_is_read_in_bounded_parts(packer: str) -> None:
    packed = PACKERS[packer](bytes(40_000_000))
    stream = Stream(io.BytesIO(packed), 30_000_000)
    largest = total = 0
    while data := stream.read():
        largest, total = max(largest, len(data)), total + len(data)
    assert total == 30_000_000
    assert largest <= 40_000_000
    assert stream.problem == "is larger than what is read of one input"


def test_padding_with_zeros_after_gzip_is_no_damage(tmp_path: Path) -> None:
    got = read_bytes(tmp_path, gzip.compress(DATA) + bytes(1000))
    assert got.troubles == []
    assert len(got.spans) == 300


def test_what_zstd_needs_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    got = read_bytes(tmp_path, zstandard.compress(DATA))
    (trouble,) = got.troubles
    assert trouble.problem.endswith("pip install 'tollbook[audit]'")


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.json", "b/2", "b/1", "a.gz", ".hidden", "b/.hidden"):
        data = lines(otlp())
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.json").write_bytes(lines(otlp()))
    (tmp_path / "README").write_text("see the wiki\n")
    got = read_path(tmp_path)
    names = [os.path.relpath(one.read.source, tmp_path) for one in got]
    assert names == ["README", "a.gz", "b/1", "b/2", "c.json"]
    assert [len(one.spans) for one in got] == [0, 3, 3, 3, 3]
    assert got[0].troubles[0].problem.startswith("is text of no known format")


def test_links_in_circles_are_walked_once(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "x.json").write_bytes(lines(otlp()))
    (folder / "again").symlink_to(tmp_path)
    (folder / "nowhere").symlink_to(tmp_path / "missing")
    got = read_path(tmp_path)
    assert sum(len(one.spans) for one in got) == 3
    assert [one.troubles[0].problem for one in got if one.troubles] == [
        "cannot be opened: no such file or directory"
    ]


def test_members_of_an_archive_are_inputs(tmp_path: Path) -> None:
    path = tmp_path / "export"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b/traces.json", lines(otlp()))
        archive.writestr("a.json.gz", gzip.compress(DATA))
        archive.writestr("__MACOSX/a.json", b"resource fork")
    got = read_path(path)
    assert [one.read.source for one in got] == [f"{path}:a.json.gz", f"{path}:b/traces.json"]
    assert [len(one.spans) for one in got] == [300, 3]


def test_a_damaged_member_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", DATA)
        archive.writestr("b", lines(otlp()))
    raw = bytearray(path.read_bytes())
    raw[200:260] = bytes(60)
    path.write_bytes(raw)
    first, second = read_path(path)
    assert first.troubles
    assert second.tree == TREE


def test_stdin_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class _Stdin:
        buffer = io.BytesIO(gzip.compress(lines(otlp())))

    monkeypatch.setattr(sys, "stdin", _Stdin)
    (got,) = read_path("-")
    assert got.tree == TREE
    assert got.read.source == "-"
    assert got.read.size_bytes is None


def test_a_named_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(lines(otlp()),))
    writer.start()
    (got,) = read_path(path)
    writer.join()
    assert got.tree == TREE


def test_what_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputNotReadableError, match=r"nothing\.json: no such file") as caught:
        open_inputs([str(tmp_path / "nothing.json")])
    assert caught.value.exit_code == 2
    with pytest.raises(InputNotReadableError, match="the folder holds no files"):
        open_inputs([str(tmp_path)])
    for at in range(5):
        (tmp_path / str(at)).write_bytes(b"{}")
    with pytest.raises(InputNotReadableError, match="more than 2 files"):
        open_inputs([str(tmp_path)], limits=Limits(files_max=2))


def test_a_kind_that_is_none_is_an_error_that_names_all(tmp_path: Path) -> None:
    with pytest.raises(UnknownKindError) as caught:
        open_inputs([str(tmp_path)], kind="otpl")
    assert all(one in caught.value.message for one in kinds())


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "later"
    path.write_bytes(b"")
    (source,) = open_inputs([str(path)])
    path.write_bytes(lines(otlp()))
    parts: list[Any] = list(source)
    assert len(parts) == 1
