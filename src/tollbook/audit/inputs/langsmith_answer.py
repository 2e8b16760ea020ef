"""What a run's outputs say of the call itself: usage, model, id; nothing of what was said.

LangChain's chat models put a message under ``generations``, LangSmith's wrappers of clients the
provider's answer with ``usage_metadata`` beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tollbook.audit.inputs.foreign import Fields, structure_of
from tollbook.audit.inputs.usage_words import tokens_at

if TYPE_CHECKING:
    from collections.abc import Iterator


class RunAnswer(NamedTuple):
    """Of a run's outputs; None where they do not say."""

    usage: dict[str, Any]
    model: str | None = None
    id: str | None = None
    service_tier: str | None = None


def answer_of(row: Fields) -> RunAnswer:
    """Return what the outputs of a run say.

    Raises:
        RowError: a count is none.
    """
    usage: dict[str, Any] = {}
    model = answer_id = tier = None
    for one in _messages(row):
        usage = usage or _usage(one)
        model = model or _word(
            one, "response_metadata.model_name", "response_metadata.model", "model", "model_name"
        )
        answer_id = answer_id or _word(one, "response_metadata.id", "id")
        tier = tier or _word(one, "response_metadata.service_tier", "service_tier")
    return RunAnswer(usage, model, None if _is_own(answer_id) else answer_id, tier)


def _messages(row: Fields) -> Iterator[Fields]:
    top = structure_of(row.values.get("usage_metadata"))
    if isinstance(top, dict):
        yield Fields({"usage_metadata": top})
    outputs = structure_of(row.values.get("outputs"))
    if not isinstance(outputs, dict):
        return
    yield Fields(outputs)
    for at in (outputs.get("llm_output"), outputs.get("message"), outputs.get("output")):
        if isinstance(at, dict):
            yield Fields(at)
    at = outputs.get("generations")
    while isinstance(at, list) and at:
        at = at[0]
    if isinstance(at, dict) and isinstance(at.get("message"), dict):
        message = at["message"]
        kwargs = message.get("kwargs")
        yield Fields(kwargs if isinstance(kwargs, dict) else message)


def _usage(one: Fields) -> dict[str, Any]:
    for path in ("usage_metadata", "token_usage", "usage"):
        details = one.mapping(path)
        if details:
            return tokens_at(
                Fields(details),
                input=("input_tokens", "prompt_tokens"),
                output=("output_tokens", "completion_tokens"),
                total=("total_tokens",),
                cache_read=(
                    "input_token_details.cache_read", "prompt_tokens_details.cached_tokens",
                ),
                cache_write=("input_token_details.cache_creation",),
                reasoning=(
                    "output_token_details.reasoning", "completion_tokens_details.reasoning_tokens",
                ),
            )  # fmt: skip
    return {}


def _word(one: Fields, *paths: str) -> str | None:
    return one.word(*paths) or None


def _is_own(answer_id: str | None) -> bool:
    """Whether LangChain made the id up (``run-…``, ``lc_run-…``), the provider having told none."""
    return answer_id is not None and answer_id.startswith(("run-", "lc_run-", "run_"))
