"""A file becomes statements: read once for its digest, once for its lines, then kept whole.

One file may hold several statements: of several accounts, billing periods, endpoints. Lines wait
in temporary files, one for each, until it is known what each covers.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, Self

import msgspec

from tollbook import clock
from tollbook.books.documents import Subject, document_history
from tollbook.books.events import add_event, current_user
from tollbook.chargeback.statements.errors import StatementError, StatementFileError
from tollbook.chargeback.statements.formats.base import Format
from tollbook.chargeback.statements.formats.mapped import MappedRows, parse_mapping
from tollbook.chargeback.statements.formats.registry import AMORTIZED_HINT, detect, format_named
from tollbook.chargeback.statements.fx import converter
from tollbook.chargeback.statements.leftovers import remove_leftovers
from tollbook.chargeback.statements.model import Finality, Statement, StatementLine
from tollbook.chargeback.statements.moments import DAY_NS
from tollbook.chargeback.statements.raws import sha256_of
from tollbook.chargeback.statements.rows_in import rows_in
from tollbook.chargeback.statements.shelf import keep_statement, statement_id_of
from tollbook.chargeback.statements.told import Group, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tollbook.books.store import Books

MAX_FILE_BYTES: Final = 8 * 1024**3
_GROUPS_MAX: Final = 2000
_LENGTH_BYTES: Final = 4
CSV_PREFIX: Final = "csv:"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StatementLine).decode


class How(NamedTuple):
    """What is told of a file beside its content."""

    provider: str | None = None
    account: str | None = None
    form: str | None = None
    """Name of the format, or ``csv:NAME`` of a mapping; None: by its content."""
    is_final: bool = False
    fetched_at_ns: int | None = None
    """When the provider said it; None: when the file was last written."""
    span: tuple[int, int] | None = None
    """What was asked for, where that is known: it covers that, whatever is in it."""
    scope: str | None = None
    source: str | None = None
    """Name of the source, where it is another than the format's."""
    received_by: str | None = None
    file_name: str | None = None


class Imported(NamedTuple):
    """One statement of a file, and whether it is new."""

    statement: Statement
    is_new: bool


def import_file(books: Books, path: Path, how: How = How()) -> list[Imported]:  # noqa: B008 -- a constant
    """Read a file and keep what it states.

    Args:
        books: where it is kept.
        path: the file, as received.
        how: what is told beside it.

    Returns:
        Its statements, by provider, account and time; none new where it was there.

    Raises:
        StatementFileError: it cannot be read, or is of no known form.
        BooksError: the books cannot be written.
    """
    what = how.file_name or path.name
    try:
        size = path.stat().st_size
        changed_ns = path.stat().st_mtime_ns
        if size > MAX_FILE_BYTES:
            raise StatementFileError(str(path), f"is larger than {MAX_FILE_BYTES} bytes")
        raw_sha256, raw_bytes = sha256_of(path)
    except OSError as error:
        raise StatementFileError(str(path), (error.strerror or str(error)).lower()) from error
    form = _format(books, path, how)
    reading = Reading(how.provider, how.account, converter(books), how.scope)
    fetched_ns = how.fetched_at_ns
    if fetched_ns is None:
        fetched_ns = min(changed_ns, clock.unix_ns())
    imported: list[Imported] = []
    remove_leftovers(books)
    with TemporaryDirectory(prefix="tollbook-statement-") as directory, _Waiting(directory) as all_:
        for group, line in form.read(rows_in(path), reading):
            all_.add(group, line)
        words = reading.words()
        if reading.is_cut_off and how.span is None:
            words = (*words, "the page says that there are more pages: this is a part")
        for group, waiting in all_.of(how, form, reading, what):
            one = _statement(
                group, waiting, form, how, raw=(raw_sha256, raw_bytes), fetched_ns=fetched_ns,
                problems=words, span=reading.span, name=what,
            )  # fmt: skip
            is_new = keep_statement(books, one, waiting.lines(), path)
            imported.append(Imported(msgspec.structs.replace(one, lines=waiting.count), is_new))
    _tell(books, imported, how)
    return imported


def _format(books: Books, path: Path, how: How) -> Format:
    if how.form is None:
        found = detect(rows_in(path), str(path))
        is_amortized = AMORTIZED_HINT in (how.file_name or path.name).lower()
        if found.source == "azure.cost_export" and is_amortized:
            return format_named("azure.cost_export_amortized")
        return found
    if not how.form.startswith(CSV_PREFIX):
        return format_named(how.form)
    name = how.form.removeprefix(CSV_PREFIX)
    versions = document_history(books, Subject.STATEMENT_MAPPING, name)
    if not versions:
        raise StatementError(
            f"--as {how.form}", f"no mapping {name!r}; keep one with tollbook statements map"
        )
    mapping = parse_mapping(versions[-1].body, name)
    return Format(how.form, mapping.basis, (), MappedRows(mapping).read)


class _Lines:
    """The lines of one group, in a file of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self.count = 0
        self.start_ns = self.end_ns = 0
        self.invoices: set[str | None] = set()
        self.currencies: set[str] = set()

    def add(self, line: StatementLine) -> None:
        data = _encode(line)
        self._file.write(len(data).to_bytes(_LENGTH_BYTES, "little") + data)
        self.start_ns = min(self.start_ns, line.start_ns) if self.count else line.start_ns
        self.end_ns = max(self.end_ns, line.end_ns)
        self.count += 1
        if len(self.invoices) < _GROUPS_MAX:
            self.invoices.add(line.tags.get("invoice_id"))
        self.currencies.add(line.currency)

    def lines(self) -> Iterator[StatementLine]:
        self._file.flush()
        with self._path.open("rb") as file:
            while head := file.read(_LENGTH_BYTES):
                yield _decode(file.read(int.from_bytes(head, "little")))

    def close(self) -> None:
        self._file.close()


class _Waiting:
    """All groups of a file."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._groups: dict[Group, _Lines] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._groups.values():
            with contextlib.suppress(OSError):
                one.close()

    def add(self, group: Group, line: StatementLine) -> None:
        found = self._groups.get(group)
        if found is None:
            found = self._new(group)
        found.add(line)

    def _new(self, group: Group) -> _Lines:
        if len(self._groups) >= _GROUPS_MAX:
            raise StatementFileError(
                "the file", f"holds more than {_GROUPS_MAX} accounts and months; split it"
            )
        made = _Lines(self._directory / str(len(self._groups)))
        self._groups[group] = made
        return made

    def of(
        self, how: How, form: Format, reading: Reading, what: str
    ) -> Iterable[tuple[Group, _Lines]]:
        """Return the groups; a page without a line is one that says that nothing was used."""
        if not self._groups:
            if reading.span is None and how.span is None:
                problems = "; ".join(reading.words()[:3])
                raise StatementFileError(what, f"has no line that can be kept. {problems}".strip())
            prefix = form.source.partition(".")[0]
            provider = how.provider or _PROVIDERS.get(prefix, prefix)
            scope = how.scope
            if scope is None and form.source == "openai.usage":
                scope = "completions"
            self._new(Group(provider, how.account, scope))
        return sorted(self._groups.items(), key=lambda item: str(item[0]))


def _statement(
    group: Group, waiting: _Lines, form: Format, how: How, *, raw: tuple[str, int],
    fetched_ns: int, problems: tuple[str, ...], span: tuple[int, int] | None, name: str,
) -> Statement:  # fmt: skip
    source = how.source or _source_of(form.source, group.provider)
    start_ns, end_ns = _covered(group, waiting, how, span)
    billed = waiting.invoices
    is_final = how.is_final or (waiting.count > 0 and None not in billed)
    invoice_id = group.invoice_id or (next(iter(billed)) if len(billed) == 1 else None)
    return Statement(
        statement_id=statement_id_of(
            provider=group.provider, account=group.account, source=source, scope=group.scope,
            start_ns=start_ns, end_ns=end_ns, raw_sha256=raw[0],
        ),
        provider=group.provider, account=group.account, basis=group.basis or form.basis,
        source=source, scope=group.scope, start_ns=start_ns, end_ns=end_ns,
        currency=next(iter(waiting.currencies)) if len(waiting.currencies) == 1 else "USD",
        finality=Finality.FINAL if is_final else Finality.PROVISIONAL, invoice_id=invoice_id,
        fetched_at_ns=fetched_ns, received_by=how.received_by or current_user(),
        file_name=name, raw_sha256=raw[0], raw_bytes=raw[1], lines=0, problems=problems,
    )  # fmt: skip


_FOCUS_SOURCES: Final = {"bedrock": "aws.focus", "azure": "azure.focus", "vertex": "gcp.focus"}
_PROVIDERS: Final = {"aws": "bedrock", "gcp": "vertex"}


def _source_of(source: str, provider: str) -> str:
    return _FOCUS_SOURCES.get(provider, source) if source == "focus" else source


def _covered(
    group: Group, waiting: _Lines, how: How, span: tuple[int, int] | None
) -> tuple[int, int]:
    """Return what a statement covers: what was asked for, what it says, or whole days of lines."""
    if how.span is not None:
        return how.span
    if group.start_ns is not None and group.end_ns is not None:
        return group.start_ns, group.end_ns
    if span is not None:
        return span
    return waiting.start_ns // DAY_NS * DAY_NS, -(-waiting.end_ns // DAY_NS) * DAY_NS


def _tell(books: Books, imported: list[Imported], how: How) -> None:
    fresh = [one.statement.statement_id for one in imported if one.is_new]
    if not fresh:
        return
    first = imported[0].statement
    detail: dict[str, Any] = {
        "statements": fresh[:20], "count": len(fresh), "source": first.source,
        "file": first.file_name,
    }  # fmt: skip
    with books.write() as connection:
        add_event(connection, actor=how.received_by, action="statement.imported", detail=detail)
