"""Which requests have to do with batches, by API."""

from __future__ import annotations

from typing import Final

from tollbook.call import Metering
from tollbook.dialects.base import Route, Watch

BATCH: Final = "batch"
"""Operation of submitting and following a batch, which is free; its lines are billed."""
FILES: Final = "files"


def _free(operation: str, watch: Watch, *, inspects_body: bool = False) -> Route:
    return Route(operation, Metering.FREE, inspects_body=inspects_body, watch=watch)


UPLOAD: Final = _free(FILES, Watch.UPLOAD)
FILE_RESULTS: Final = _free(FILES, Watch.RESULTS)
SUBMIT: Final = _free(BATCH, Watch.SUBMIT)
"""The lines are in the submission, which may be large: it streams through."""
SUBMIT_FILE: Final = _free(BATCH, Watch.SUBMIT, inspects_body=True)
"""The submission names a file, and may name an owner."""
STATE: Final = _free(BATCH, Watch.STATE)
RESULTS: Final = _free(BATCH, Watch.RESULTS)


def openai_batch_route(method: str, head: str, last: str) -> Route | None:
    """Return the route of ``{head}/{last}``, a path without its end slash; None for any other."""
    in_batches = last == "batches" or (last == "jobs" and head.endswith("/batch"))
    if method == "POST":
        if in_batches:
            return SUBMIT_FILE
        if last == "files":
            return UPLOAD
        return STATE if last == "cancel" and _is_item(head) else None
    if method != "GET":
        return None
    if in_batches or head.endswith(("/batches", "/batch/jobs")):
        return STATE
    return FILE_RESULTS if last == "content" and "/files/" in head else None


def _is_item(path: str) -> bool:
    return path.rpartition("/")[0].endswith(("/batches", "/batch/jobs"))


def anthropic_batch_route(method: str, path: str) -> Route | None:
    """Return the route of a path without its end slash; None where it is no batch's."""
    _, found, rest = path.partition("/messages/batches")
    if not found or (rest and rest[0] != "/"):
        return None
    _, _, action = rest.strip("/").partition("/")
    if method == "POST":
        return SUBMIT if not rest else STATE
    if method != "GET":
        return None
    return RESULTS if action == "results" else STATE


def gemini_watch(method: str, path: str) -> str | None:
    """Return ``submit``, ``state`` or ``results`` for what has to do with batches, else None."""
    if method == "POST":
        if path.endswith(":batchGenerateContent"):
            return "submit"
        return "state" if path.endswith(":cancel") and "/batches/" in path else None
    if method != "GET":
        return None
    if "/download/" in path and path.endswith(":download"):
        return "results"
    return "state" if path.endswith("/batches") or "/batches/" in path else None
