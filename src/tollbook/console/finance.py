"""The API of finance: one route for each operation, and the same operations without a server."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_origin

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import JSONBody  # noqa: TC002 -- read when the handler is made
from litestar.response import File

from tollbook.books.events import record_event
from tollbook.books.store import open_books
from tollbook.console.client import LedgerSilentError
from tollbook.console.ledgerfile import open_ledger
from tollbook.console.negotiate import next_link, paged, read_pairs, wanted_format
from tollbook.console.permit import needs, principal_of_request
from tollbook.desk import BODY_MAX_BYTES, Desk
from tollbook.desk.registry import operations
from tollbook.ledger.errors import LedgerInUseError, NoLedgerError
from tollbook.ledger.store import LEDGER_FILE, connect_readonly
from tollbook.reports.errors import QueryError
from tollbook.reports.reader import DuckdbReader
from tollbook.reports.tabular import column_names, csv_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from litestar.handlers import HTTPRouteHandler

    from tollbook.config import Config
    from tollbook.console.ledgerfile import LedgerFiles
    from tollbook.desk import FileAnswer, Operation

READ_TIMEOUT_S: Final = 1800.0
"""Of one query of an operation: closing a month over tens of millions of calls takes its time."""
_Asked = Request[Any, Any, Any]
_NO_STORE: Final = {"cache-control": "no-store"}


class Settings(NamedTuple):
    """What a desk is made of beside the open files."""

    config: Config
    data_dir: Path
    environ: Mapping[str, str]
    config_path: Path | None = None


def carry_out(operation: Operation, desk: Desk, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check what is given, carry an operation out, and return its answer as JSON would.

    Raises:
        QueryError: the request has an unknown name or a value of the wrong kind.
        TollbookError: of the operation.
    """
    request = _request(operation, given)
    _must_be_oneself(operation, desk, request)
    answer = operation.run(desk, request)
    if operation.method == "POST":
        record_event(
            desk.books, actor=desk.author, action=operation.name,
            detail=msgspec.json.decode(msgspec.json.encode(_short(given)), type=dict[str, Any]),
        )  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(answer), type=dict[str, Any])


def _must_be_oneself(operation: Operation, desk: Desk, request: Any) -> None:
    """Refuse somebody who has signed in and names another as the author of a deed.

    A command on the machine, of whoever can read the data directory, may name anybody.

    Raises:
        QueryError: another is named.
    """
    named = getattr(request, "author", None)
    signed_in = desk.author is not None and desk.author.startswith(_SIGNED_IN)
    if signed_in and operation.method == "POST" and named is not None and named != desk.author:
        raise QueryError(operation.name, f"author: you are {desk.author}; leave it out")


def _request(operation: Operation, given: Mapping[str, Any]) -> Any:
    try:
        return msgspec.convert(given, operation.request, strict=False)
    except msgspec.ValidationError as error:
        raise QueryError(operation.name, _plain(error)) from error


def _plain(error: msgspec.ValidationError) -> str:
    """Return msgspec's words with the field first and without its path syntax."""
    text, _, where = str(error).partition(" - at `$")
    field = where.rstrip("`").lstrip(".")
    text = text.replace("Invalid decimal string", "expected a decimal number")
    return f"{field}: {text}" if field else text


_TEXT_MAX: Final = 200
_SECRETS: Final = ("password", "secret")
"""Fields whose names end in one of these are not written down."""
_SIGNED_IN: Final = ("user:", "token:")


def _short(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for, for the audit trail: long texts and lists by their size."""
    return {
        name: "<hidden>"
        if name.endswith(_SECRETS)
        else f"<{len(value)}>"
        if isinstance(value, (str, list, dict)) and len(str(value)) > _TEXT_MAX
        else value
        for name, value in given.items()
    }


def desk_of(files: LedgerFiles, reader: DuckdbReader, settings: Settings) -> Desk:
    """Return the desk of the process that writes the ledger."""
    config, data_dir, environ, config_path = settings
    return Desk(
        reader=reader, books=files.books, config=config, data_dir=data_dir, environ=environ,
        config_path=config_path, writer=files.store,
    )  # fmt: skip


def finance_router(desk: Desk) -> Router:
    """Return a route for each operation, on the ledger that this process writes."""
    return Router(
        "/api/v1", route_handlers=[_handler(one, desk) for one in operations().values()],
        tags=["finance"],
    )  # fmt: skip


def _handler(operation: Operation, desk: Desk) -> HTTPRouteHandler:
    # A writer only for those that say so, so that none books by accident.
    plain = desk if operation.writes else desk._replace(writer=None)

    def _of(request: _Asked) -> Desk:
        return plain._replace(author=principal_of_request(request).name)

    def reading(request: _Asked) -> Response[Any]:
        own = _of(request)
        given = _gathered(operation, read_pairs(request))
        if operation.file is not None:
            return _sent(operation.file(own, _request(operation, given)))
        return _answer(request, carry_out(operation, own, given))

    def doing(request: _Asked, data: JSONBody[dict[str, Any]]) -> Response[Any]:
        own = _of(request)
        return _answer(request, carry_out(operation, own, data))

    name, opt = operation.name.replace(".", "_"), needs(operation.scope, operation.needs)
    if operation.method == "GET":
        reading.__doc__ = operation.summary
        return get(operation.path, name=name, operation_id=name, opt=opt, sync_to_thread=True)(
            reading
        )
    doing.__doc__ = operation.summary
    return post(
        operation.path, name=name, operation_id=name, opt=opt, status_code=HTTPStatus.OK,
        sync_to_thread=True, request_max_body_size=BODY_MAX_BYTES,
    )(doing)  # fmt: skip


def _gathered(operation: Operation, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return a query's pairs as fields; those that are lists may be given several times."""
    lists = {
        field.encode_name
        for field in msgspec.structs.fields(operation.request)
        if get_origin(field.type) is list
    }
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise QueryError(operation.name, "a name is given twice")
        else:
            given[name] = value
    return given


def _sent(found: FileAnswer) -> Response[Any]:
    return File(
        found.path, filename=found.path.name, media_type=found.media_type,
        headers=_NO_STORE | {"x-content-type-options": "nosniff"},
    )  # fmt: skip


def _answer(request: _Asked, answer: dict[str, Any]) -> Response[Any]:
    answer, next_cursor = paged(request, answer)
    headers = _NO_STORE | next_link(request, next_cursor or answer)
    if "rows" not in answer or wanted_format(request) == "json":
        return Response(answer, headers=headers)
    rows = answer["rows"]
    return Response(
        csv_text(rows, column_names(rows, ())), media_type="text/csv",
        headers=headers | {"x-content-type-options": "nosniff"},
    )  # fmt: skip


@contextmanager
def local_desk(
    settings: Settings,
    *,
    writes: bool,
    progress: Callable[[int, int | None], None] | None = None,
    author: str | None = None,
) -> Iterator[Desk]:
    """Open the ledger and the books of a data directory while no ledger process runs.

    Raises:
        LedgerSilentError: a ledger process holds the file, so it should have answered.
        LedgerFileError: the file is missing or cannot be used.
        BooksError: the books cannot be used.
    """
    config, data_dir, environ, config_path = settings
    path = data_dir / LEDGER_FILE
    if not path.exists():
        raise NoLedgerError(path)
    extra: dict[str, Any] = {"progress": progress} if progress is not None else {}
    extra |= {"author": author}
    if writes:
        with (
            open_ledger(config, data_dir, config_path) as files,
            closing(files.store.reader()) as connection,
        ):
            yield Desk(
                reader=DuckdbReader(connection, READ_TIMEOUT_S), books=files.books, config=config,
                data_dir=data_dir, environ=environ, config_path=config_path, writer=files.store,
                **extra,
            )  # fmt: skip
        return
    try:
        connection = connect_readonly(path, memory_limit=config.ledger.memory_limit)
    except LedgerInUseError as error:
        who = f"process {error.pid} holds {path}" if error.pid else f"{path} is held"
        raise LedgerSilentError("on its API", who) from error
    with closing(connection), open_books(data_dir) as books:
        yield Desk(
            reader=DuckdbReader(connection, READ_TIMEOUT_S), books=books, config=config,
            data_dir=data_dir, environ=environ, config_path=config_path, **extra,
        )  # fmt: skip


def local_settings(config: Config, data_dir: Path, config_path: Path | None) -> Settings:
    """Return the settings of a command."""
    return Settings(config, data_dir, os.environ, config_path)
