"""Routes of audits: a form of the console, downloads of its reports, and ``POST /api/v1/audit``."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from litestar import Request, Response, Router, get, post
from litestar.exceptions import PermissionDeniedException
from litestar.params import FromQuery
from litestar.response import Redirect

from tollbook.audit.outputs.written import written
from tollbook.console.audits.asked import Asked, asked_of
from tollbook.console.audits.errors import NoSuchAuditError, UploadTooLargeError
from tollbook.console.audits.jobs import Job, Jobs, discard
from tollbook.console.audits.received import receive
from tollbook.console.audits.worker import FILES
from tollbook.console.negotiate import read_pairs
from tollbook.console.pages.csrf import FIELD, is_genuine
from tollbook.console.permit import needs, principal_of_request
from tollbook.desk.permits import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.audit.report import Audit
    from tollbook.console.audits.received import Received
    from tollbook.desk.permits import Principal

_Asked = Request[Any, Any, Any]
_Text = FromQuery[str | None]
_Texts = FromQuery[list[str] | None]
PAGE: Final = "/trace-audit"
FORM: Final = "/do/trace-audit"
REPORT: Final = "/trace-audit/report"
API: Final = "/api/v1/audit"
_FORM_ONLY: Final = frozenset([FIELD, "return_to", "show_answer"])
_SLACK_BYTES: Final = 65_536
"""Of a form around its files."""
_MEDIA_TYPES: Final = {
    "json": ("application/json", "json"), "html": ("text/html", "html"),
    "sarif": ("application/sarif+json", "sarif"), "junit": ("application/xml", "xml"),
    "csv": ("text/csv", "csv"),
}  # fmt: skip


def audit_routers(jobs: Jobs, csrf_secret: bytes) -> list[Router]:
    """Return the routes of the console's form and its downloads, and that of the API."""

    @post(FORM, status_code=HTTPStatus.SEE_OTHER, request_max_body_size=None)
    async def hand_in(request: _Asked) -> Redirect:
        principal = principal_of_request(request)
        job = await _handed_in(request, jobs, principal, csrf_secret)
        return Redirect(f"{PAGE}?{urlencode({'id': job.job_id})}", status_code=303)

    @get(REPORT, sync_to_thread=True)
    def report(request: _Asked) -> Response[bytes]:
        given = dict(request.query_params)
        job = jobs.of(principal_of_request(request).name, given.pop("id", ""))
        if job.audit is None:
            raise NoSuchAuditError
        asked = asked_of(given.items(), jobs.limits.findings_max)
        return _sent(job.audit, asked, is_download=True)

    @post("/audit", operation_id="trace_audit", status_code=HTTPStatus.OK,
          request_max_body_size=None)  # fmt: skip
    async def audit(
        request: _Asked, kind: _Text = None, tenant_attribute: _Texts = None,
        tenant_pattern: _Text = None, trusted_host: _Texts = None, ignore: _Texts = None,
        hash_names: _Text = None, show_names: _Text = None, full: _Text = None,
        format: _Text = None,  # noqa: A002 -- its public name
    ) -> Response[bytes]:  # fmt: skip
        """Audit traces or logs of calls: where identity is lost, what it costs, what to change.

        The body is a file as ``tollbook audit`` reads it, plain or compressed, or a form with
        several. It is audited in a process of its own and removed; prompts and completions in it
        are dropped on reading. Larger files are for the command.
        """
        del kind, tenant_attribute, tenant_pattern, trusted_host, ignore, hash_names, show_names
        del full
        pairs = [*read_pairs(request), *([("format", format)] if format else [])]
        principal = principal_of_request(request)
        job, asked = await _begun(request, jobs, principal, pairs)
        made = await asyncio.wrap_future(job.report)
        return await run_sync(_sent, made, asked)

    opt = needs(Scope.CALLS)
    return [
        Router("/", route_handlers=[hand_in, report], opt=opt, include_in_schema=False),
        Router("/api/v1", route_handlers=[audit], opt=opt, tags=["trace-audit"]),
    ]


async def _handed_in(request: _Asked, jobs: Jobs, principal: Principal, csrf_secret: bytes) -> Job:
    """Begin the audit of a form.

    Raises:
        PermissionDeniedException: the form was made for another session.
        TollbookError: see :func:`_received`.
    """
    directory, received = await _received(request, jobs)
    try:
        _must_be_genuine(csrf_secret, principal, dict(received.fields).get(FIELD, ""))
        options = [pair for pair in received.fields if pair[0] not in _FORM_ONLY]
        asked = asked_of(options, jobs.limits.findings_max)
    except BaseException:
        discard(directory)
        raise
    return jobs.submit(principal.name, directory, received, asked)


def _must_be_genuine(csrf_secret: bytes, principal: Principal, token: str) -> None:
    if not is_genuine(csrf_secret, principal, token):
        raise PermissionDeniedException(
            "the form was not made for this session; load the page again and repeat it"
        )


async def _begun(
    request: _Asked, jobs: Jobs, principal: Principal, pairs: list[tuple[str, str]]
) -> tuple[Job, Asked]:
    """Begin the audit of a body of the API; its form, if it is one, may have options too.

    Raises:
        TollbookError: see :func:`_received`; of the options.
    """
    asked_of(pairs, jobs.limits.findings_max)  # before sixty megabytes are received
    directory, received = await _received(request, jobs)
    try:
        asked = asked_of([*pairs, *received.fields], jobs.limits.findings_max)
    except BaseException:
        discard(directory)
        raise
    return jobs.submit(principal.name, directory, received, asked), asked


async def _received(request: _Asked, jobs: Jobs) -> tuple[Path, Received]:
    """Receive a body into a directory of its own.

    Raises:
        AuditBusyError: enough audits wait already.
        UploadTooLargeError: it is too large.
        UploadError: it holds no file.
    """
    told_bytes = request.content_length
    if told_bytes is not None and told_bytes > jobs.limits.upload_max_bytes + _SLACK_BYTES:
        raise UploadTooLargeError(jobs.limits.upload_max_bytes)
    directory = await run_sync(jobs.place)
    try:
        into = directory / FILES
        return directory, await receive(request.stream(), request.content_type, into, jobs.limits)
    except BaseException:
        discard(directory)
        raise


def _sent(made: Audit, asked: Asked, *, is_download: bool = False) -> Response[bytes]:
    media_type, ending = _MEDIA_TYPES[asked.format]
    text = written(made, asked.format, full=asked.full, show_names=asked.show_names)
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if is_download or asked.format == "html":  # never a page of this origin
        headers["content-disposition"] = f'attachment; filename="attribution-audit.{ending}"'
    return Response(text.encode(errors="replace"), media_type=media_type, headers=headers)
