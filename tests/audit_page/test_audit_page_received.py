"""Bodies to files: whatever the pieces, the names and the damage."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tollbook.audit.outputs import words
from tollbook.console.audits.asked import asked_of
from tollbook.console.audits.errors import UploadError, UploadTooLargeError
from tollbook.console.audits.limits import DEFAULT, Limits
from tollbook.console.audits.received import Received, plain_name, receive
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SMALL = replace(DEFAULT, upload_max_bytes=1000, files_max=3)
B = "a-boundary"
FORM = ("multipart/form-data", {"boundary": B})
RAW = ("application/json", {"charset": "utf-8"})


def _part(content: bytes, name: str, file: str | None = None) -> bytes:
    told = f'form-data; name="{name}"' + ("" if file is None else f'; filename="{file}"')
    return f"--{B}\r\nContent-Disposition: {told}\r\n\r\n".encode() + content + b"\r\n"


def _form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{B}--\r\n".encode()


def _received(
    chunks: Sequence[bytes], kind: tuple[str, dict[str, str]] = FORM, limits: Limits = SMALL
) -> tuple[Received, dict[str, bytes]]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    with TemporaryDirectory() as folder:
        into = Path(folder) / "files"
        into.mkdir()
        found = asyncio.run(receive(stream(), kind, into, limits))
        assert {one.name for one in Path(folder).rglob("*") if one.is_file()} == set(found.files)
        return found, {name: (into / name).read_bytes() for name in found.files}


@settings(deadline=None)
@given(
    st.binary(min_size=1, max_size=200),
    st.lists(st.integers(0, 500), max_size=6).map(sorted),
)
def test_the_pieces_that_a_form_comes_in_do_not_matter(content: bytes, cuts: list[int]) -> None:
    body = _form(
        _part(b"token", "csrf_token"), _part(content, "files", "a.json"), _part(b"", "files", ""),
        _part(b"1", "hash_names"), _part(b"{}", "files", "a.json"),
    )  # fmt: skip
    at = [0, *cuts, len(body)]
    chunks = [body[one:two] for one, two in pairwise(at)]
    found, files = _received(chunks)
    assert files == {"a.json": content, "2-a.json": b"{}"}
    assert found.fields == [("csrf_token", "token"), ("hash_names", "1")]
    assert found.size_bytes == len(content) + 2


def test_any_other_body_is_one_file() -> None:
    found, files = _received([b"abc", b"", b"def"], RAW)
    assert files == {"upload": b"abcdef"}
    assert found.fields == []


@given(st.text(max_size=150), st.lists(st.text(max_size=20), max_size=3))
def test_a_name_is_a_name_in_the_directory(name: str, others: list[str]) -> None:
    taken: list[str] = []
    for one in (*others, name, name):
        plain = plain_name(one, taken)
        assert plain not in taken
        assert Path(plain).name == plain
        assert plain.isascii()
        assert plain.isprintable()
        assert not plain.startswith(("-", ".", " "))
        assert 0 < len(plain) <= 100
        taken.append(plain)


@pytest.mark.parametrize(
    ("given_name", "plain"),
    [
        ("traces.jsonl", "traces.jsonl"), ("C:\\exports\\of today.json", "of today.json"),
        ("../../etc/passwd", "passwd"), ("..", "upload"), ("-", "upload"), ("--help", "help"),
        (".bashrc", "bashrc"), ("tr\u00e4ces.json", "tr_ces.json"), ("a\0b", "a_b"), ("", "upload"),
        ("x" * 300 + ".jsonl.gz", "x" * 87 + ".jsonl.gz"),
    ],
)  # fmt: skip
def test_names(given_name: str, plain: str) -> None:
    assert plain_name(given_name, []) == plain


@pytest.mark.parametrize("kind", [FORM, RAW])
def test_too_much_ends_it(kind: tuple[str, dict[str, str]]) -> None:
    whole = _part(b"x" * 1001, "files", "a") if kind is FORM else b"x" * 1001
    with pytest.raises(UploadTooLargeError, match="tollbook audit FILE"):
        _received([whole[at : at + 100] for at in range(0, len(whole), 100)], kind)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the form is damaged"), (_form(), "no file came"),
        (_form(_part(b"", "files", "")), "no file came"),
        (_form(_part(b"", "files", "a.json")), "no file came, or an empty one"),
        (_part(b"x", "files", "a.json")[:-8], "the form is damaged"),
        (b"nothing like a form", "the form is damaged"),
        (_form(*[_part(b"x", "files", f"{at}") for at in range(4)]), "more than 3 files"),
        (_form(_part(b"x" * 5000, "note")), "a field of the form has more than 4096 bytes"),
        (_form(*[_part(b"", "note") for _ in range(90)]), "the form is damaged"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused(body: bytes, problem: str) -> None:
    limits = replace(SMALL, upload_max_bytes=100_000)
    with pytest.raises(UploadError, match=problem):
        _received([body], limits=limits)


def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(UploadError, match="damaged"):
        _received([b"x"], ("multipart/form-data", {}))


def test_what_is_asked_for() -> None:
    asked = asked_of(
        [("tenant_attribute", "app.a, app.b"), ("tenant_attribute", "app.c"),
         ("hash_names", "true"),
         ("tenant_pattern", "^t-"), ("ignore", "A14"), ("kind", ""), ("format", "html"),
         ("trusted_host", "")],
        findings_max=7,
    )  # fmt: skip
    assert asked.settings.tenant_attributes == ("app.a", "app.b", "app.c")
    assert asked.settings.hash_names
    assert asked.settings.tenant_pattern == "^t-"
    assert asked.settings.ignore == ("A14",)
    assert asked.settings.trusted_hosts == ()
    assert asked.settings.findings_max == 7
    assert (asked.kind, asked.format, asked.full) == (None, "html", False)
    assert asked_of([], 5).format == "json"


@pytest.mark.parametrize(
    "pair",
    [
        ("hash_name", "true"), ("hash_names", "maybe"), ("tenant_pattern", "("), ("ignore", "A99"),
        ("format", "pdf"), ("kind", "x" * 300),
        ("tenant_attribute", ",".join("abcdefghijklmnopqrstuv")),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(QueryError) as refused:
        asked_of([pair], 5)
    assert pair[0] in refused.value.message.replace("-", "_")
    with pytest.raises(QueryError, match="twice"):
        asked_of([("kind", "a"), ("kind", "b")], 5)


def test_the_limit_is_said_as_people_read_it() -> None:
    assert words.size(DEFAULT.upload_max_bytes) in UploadTooLargeError(64 << 20).message
