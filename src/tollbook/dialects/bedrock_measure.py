"""Usage of a Bedrock call: tokens as reported, searches and images as counted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.call import UsageSource
from tollbook.dialects.base import Measured
from tollbook.dialects.bedrock_model import is_provisioned
from tollbook.dialects.bedrock_usage import read_bedrock_usage
from tollbook.dialects.estimate import NOT_MEASURED, measure_with
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tollbook.call import Call

DOCUMENTS_PER_SEARCH: Final = 100
"""A rerank query is billed for each hundred documents (Amazon Bedrock pricing, Rerank)."""
PROVISIONED: Final = "provisioned"


def measure_bedrock(call: Call) -> Measured:
    """Return the kinds of a call, the words its price depends on, and what was contradictory."""
    operation = call.opened.operation
    measured = measure_with(read_bedrock_usage, call)
    if measured.further:
        read = partial(read_bedrock_usage, model=call.closed.model_actual)
        measured = measure_with(read, call)
    if operation == "rerank":
        measured = _rerank(measured, call)
    elif operation == "image":
        measured = _images(measured, call)
    tier = measured.tier
    if tier is not None and call.closed.service_tier and tier not in call.closed.service_tier:
        tier = f"{call.closed.service_tier}+{tier}"
    if is_provisioned(call.opened.model_requested) and measured.kinds is not None:
        tier = PROVISIONED
    return measured if tier == measured.tier else replace(measured, tier=tier)


def _rerank(measured: Measured, call: Call) -> Measured:
    """Return searches by the documents that were sent: no answer counts them."""
    if measured is NOT_MEASURED:
        return measured
    documents = (call.opened.asked or {}).get("documents")
    if not isinstance(documents, int):
        problem = "the request's documents were not read: one search was counted"
        documents = 1
    else:
        problem = (
            f"searches are counted by the documents sent ({documents}); a document of more than 500"
            " tokens counts as several"
        )
    searches = max(1, -(-documents // DOCUMENTS_PER_SEARCH))
    return Measured(Kinds(search_units=searches), UsageSource.ESTIMATED, (problem,))


def _images(measured: Measured, call: Call) -> Measured:
    """Return images as the answer has them, else as many as were asked for."""
    if measured is NOT_MEASURED:
        return measured
    asked = call.opened.asked or {}
    words = [str(asked[name]) for name in ("quality", "size") if name in asked]
    tier = "+".join(words) or None
    if measured.kinds is not None and measured.kinds.images:
        return replace(measured, tier=tier)
    count = asked.get("images", 1)
    kinds = Kinds(images=count if isinstance(count, int) else 1)
    problem = "the answer's images were not counted: as many as were asked for"
    return Measured(kinds, UsageSource.ESTIMATED, (problem,), tier)
