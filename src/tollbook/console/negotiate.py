"""JSON or CSV: by ``?format=``, else by the Accept header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from litestar import Response

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
    """Return the pairs of a request's query, ``format`` left out.

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
    return [(name, value) for name, value in pairs if name != "format"]


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
            kept = [pair for pair in parse_qsl(request.url.query) if pair[0] != parameter]
            query = urlencode([*kept, (parameter, str(value))])
            return {"link": f'<{request.url.path}?{query}>; rel="next"'}
    return {}


def _fields(answer: Any) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in getattr(answer, "__struct_fields__", ())}


def table(
    request: Request[Any, Any, Any], report: Any, *, is_csv: bool = False,
    measures: Sequence[str] | None = None,
) -> Response[Any]:  # fmt: skip
    """Return a report with ``rows`` and ``completeness`` in the wanted format."""
    headers = {"cache-control": "no-store"} | next_link(request, report)
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
