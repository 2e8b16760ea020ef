"""Fill a spool with calls as gateways would write them: half streamed, skewed tenants, two APIs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tollbook.call import CallClosed, CallOpened, Identity, Metering, Status
from tollbook.config.schema import Spool
from tollbook.ids import new_id
from tollbook.layers import Section
from tollbook.spool import SpoolWriter

if TYPE_CHECKING:
    from pathlib import Path

_IN_FLIGHT = 64
"""How many calls are open at once: as far apart their two frames stand in the spool."""
_START_NS = 1_795_248_000_000_000_000  # 2026-11-21T08:00:00Z
_OPENAI = (
    "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-4.1-2025-04-14", "gpt-5-2025-08-07",
)  # fmt: skip
_ANTHROPIC = ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")
_OPENAI_USAGE = (
    '{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":'
    '{"cached_tokens":%d,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":%d,'
    '"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
)
_ANTHROPIC_USAGE = (
    '{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
    '"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":0},'
    '"output_tokens":%d,"service_tier":"standard"}'
)


def fill_spool(root: Path, calls: int, seed: int) -> int:
    """Write ``calls`` whole calls by one writer and return their bytes."""
    draw = random.Random(seed)
    settings = Spool()
    writer = SpoolWriter(root, f"bench-0-{seed}", settings, version="0.1.0")
    closing: list[CallClosed] = []
    for number in range(calls):
        opened, closed = _call(draw, _START_NS + number * 50_000)
        writer.append(opened)
        closing.append(closed)
        if len(closing) > _IN_FLIGHT:
            writer.append(closing.pop(draw.randrange(len(closing))))
        if number % _IN_FLIGHT == 0:
            writer.flush()
    for closed in closing:
        writer.append(closed)
    writer.close()
    return sum(path.stat().st_size for path in root.rglob("*.seg"))


def _call(draw: random.Random, at_ns: int) -> tuple[CallOpened, CallClosed]:
    is_openai = draw.random() < 0.6
    is_stream = draw.random() < 0.5
    is_error = draw.random() < 0.03
    model = draw.choice(_OPENAI if is_openai else _ANTHROPIC)
    took_ns = int(draw.uniform(0.3e9, 6e9))
    call_id = new_id(at_ns)
    written = draw.randrange(20, 800)
    opened = CallOpened(
        call_id=call_id,
        started_at_ns=at_ns,
        identity=_identity(draw),
        provider="openai" if is_openai else "anthropic",
        dialect="openai" if is_openai else "anthropic",
        operation="chat",
        metering=Metering.METERED,
        method="POST",
        path="/v1/chat/completions" if is_openai else "/v1/messages",
        model_requested=model,
        is_stream=is_stream,
        request_bytes=draw.randrange(800, 60_000),
        input_chars=draw.randrange(400, 40_000),
        max_output_tokens=1024,
        layers=_layers(draw),
        prefix_hash=f"{draw.getrandbits(32):08x}",
        prefix_chars=draw.randrange(200, 8_000),
    )
    closed = CallClosed(
        call_id=call_id,
        closed_at_ns=at_ns + took_ns,
        status=Status.ERROR if is_error else Status.OK,
        http_status=429 if is_error else 200,
        error_type="rate_limit_error" if is_error else None,
        time_to_first_token_ns=took_ns // 4 if is_stream else None,
        duration_ns=took_ns,
        provider_request_id=f"req_{call_id.hex()}",
        provider_response_id=None if is_error else f"chatcmpl-{call_id.hex()[:29]}",
        model_actual=None if is_error else model,
        service_tier="default" if is_openai else "standard",
        usage=() if is_error else _usage(draw, written, is_openai=is_openai, is_stream=is_stream),
        usage_complete=not is_error,
        output_chars=4 * written,
        output_events=written if is_stream else 0,
        response_bytes=(250 if is_stream else 5) * written,
        is_billable=not is_error,
    )
    return opened, closed


def _identity(draw: random.Random) -> Identity:
    # A square of a uniform number: few tenants make most of the calls.
    tenant = int(draw.random() ** 2 * 500)
    if draw.random() < 0.01:
        return Identity(environment="production", sources={"environment": "default"})
    fields = {
        "tenant_id": f"tenant-{tenant}",
        "user_id": f"user-{tenant}-{draw.randrange(40)}",
        "feature": draw.choice(("search", "chat", "summary", "agent")),
        "environment": "production",
    }
    if draw.random() < 0.2:
        fields["agent_run_id"] = f"run-{draw.randrange(10_000)}"
        fields["workflow_step"] = str(draw.randrange(20))
    mechanism = draw.choice(("baggage", "tollbook_header", "virtual_key"))
    return Identity(**fields, sources=dict.fromkeys(fields, mechanism))  # type: ignore[arg-type]


def _layers(draw: random.Random) -> tuple[int, ...]:
    """Return the sections of a conversation with tools, as the gateway weighs them."""
    runs = [Section.TOOL_DEFINITIONS, Section.SYSTEM, Section.HISTORY, Section.TOOL_RESULTS]
    weights = [(section.value, draw.randrange(100, 20_000)) for section in runs]
    weights.append((Section.USER_INPUT.value, draw.randrange(20, 2_000)))
    return tuple(number for run in weights for number in run)


def _usage(
    draw: random.Random, written: int, *, is_openai: bool, is_stream: bool
) -> tuple[bytes, ...]:
    fresh = draw.randrange(50, 6000)
    cached = draw.choice((0, 0, 0, 1024, 2048))
    if is_openai:
        reasoning = written // 2 if draw.random() < 0.2 else 0
        usage = (fresh + cached, written, fresh + cached + written, cached, reasoning)
        return ((_OPENAI_USAGE % usage).encode(),)
    new = draw.choice((0, 0, 1024))
    final = (_ANTHROPIC_USAGE % (fresh, new, cached, new, written)).encode()
    if is_stream:
        return ((_ANTHROPIC_USAGE % (fresh, new, cached, new, 1)).encode(), final)
    return (final,)
