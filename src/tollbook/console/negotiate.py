"""JSON or CSV: by ``?format=``, else by the Accept header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from litestar import Response
from msgspec.structs import replace

from tollbook.console import paging
from tollbook.reports.errors import QueryError
from tollbook.reports.tabular import column_names, csv_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar import Request

    from tollbook.reports.params import Pairs

FORMATS: Final = ("json", "csv")
PAIRS_MAX: Final = 256
_NEXT: Final = "next_"


def read_pairs(request: Request[Any, Any, Any]) -> Pairs:
    """Return the pairs of a request's query without those on how it is answered.

    Raises:
        QueryError: too many of them, or not valid UTF-8.
    """
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("ascii"), keep_blank_values=True,
            errors="strict", max_num_fields=PAIRS_MAX,
        )  # fmt: skip
    except ValueError as error:
        raise QueryError(
            "query", f"expected at most {PAIRS_MAX} name=value pairs, percent-encoded UTF-8"
        ) from error
    return [pair for pair in pairs if pair[0] != "format" and pair[0] not in paging.NAMES]


def wanted_format(request: Request[Any, Any, Any]) -> str:
    """Return ``json`` or ``csv``.

    Raises:
        QueryError: another format is asked for.
    """
    given = request.query_params.get("format")
    if given is None:
        accept = request.headers.get("accept", "")
        return "csv" if "text/csv" in accept and "json" not in accept else "json"
    if given not in FORMATS:
        raise QueryError("--format", f"{given[:64]!r} is not one of {', '.join(FORMATS)}")
    return str(given)


def next_link(request: Request[Any, Any, Any], answer: Any) -> dict[str, str]:
    """Return the header that names the next page of a list (RFC 8288), if there is one.

    Args:
        request: for this page.
        answer: with ``next_NAME``, a Struct or a dict: what the parameter NAME of the next is.
    """
    fields = answer if isinstance(answer, dict) else _fields(answer)
    for name, value in fields.items():
        parameter = name.removeprefix(_NEXT)
        if parameter != name and isinstance(value, (int, str)):
            left_out = (parameter, paging.CURSOR)
            kept = [pair for pair in parse_qsl(request.url.query) if pair[0] not in left_out]
            query = urlencode([*kept, (parameter, str(value))])
            return {"link": f'<{request.url.path}?{query}>; rel="next"'}
    return {}


def paged(request: Request[Any, Any, Any], answer: Any) -> tuple[Any, dict[str, str]]:
    """Return an answer with the rows of the page that is asked for, and the next page's cursor.

    Totals and completeness stay those of all rows. A dict tells the cursor itself, too.

    Raises:
        QueryError: a size or a cursor that is none.
    """
    page = paging.page_of(request.query_params)
    is_dict = isinstance(answer, dict)
    rows = answer.get("rows") if is_dict else getattr(answer, "rows", None)
    if page is None or rows is None:
        return answer, {}
    shown, cursor = page.of(rows)
    told = {} if cursor is None else {"next_cursor": cursor}
    if is_dict:
        return answer | {"rows": shown} | told, told
    return replace(answer, rows=shown), told


def _fields(answer: Any) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in getattr(answer, "__struct_fields__", ())}


def table(
    request: Request[Any, Any, Any], report: Any, *, is_csv: bool = False,
    measures: Sequence[str] | None = None,
) -> Response[Any]:  # fmt: skip
    """Return a report with ``rows`` and ``completeness`` in the wanted format."""
    report, next_cursor = paged(request, report)
    headers = {"cache-control": "no-store"} | next_link(request, next_cursor or report)
    if not is_csv and wanted_format(request) == "json":
        return Response(report, headers=headers)
    until = report.completeness.complete_until
    asked = (*getattr(report.query, "by", ()), *(measures or getattr(report, "totals", None) or ()))
    return Response(
        csv_text(report.rows, column_names(report.rows, asked)),
        media_type="text/csv",
        headers=headers
        | {
            "tollbook-complete-until": until.isoformat() if until else "never",
            "x-content-type-options": "nosniff",
        },
    )
