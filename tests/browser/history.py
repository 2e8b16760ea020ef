"""Some weeks of calls as a gateway writes them: a house that pages can be looked at with.

``python -m tests.browser.history DATA_DIR`` writes one to try things on; the ledger process of the
directory reads it. Owners with hostile names are among the others.
"""

from __future__ import annotations

import random
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook import __version__, clock, ids
from tollbook.call import CallClosed, CallOpened, Identity, Metering, Observer, Status
from tollbook.config import Config
from tollbook.layers import Section
from tollbook.spool.writer import SpoolWriter, new_writer_name

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT: Final = "<script>alert(1)</script>"
FORMULA: Final = '=HYPERLINK("http://evil.example","x")'
RIGHT_TO_LEFT: Final = "\u202egnp.exe\u202c \u05d0\u05d1\u05d2"
LONG: Final = "a-very-long-name-" + "x" * 183
ATTRIBUTE: Final = "\"' onmouseover=alert(1) x='"
HOSTILE: Final = (SCRIPT, FORMULA, RIGHT_TO_LEFT, LONG, ATTRIBUTE, "a,b\\c=d&e#f?g/h%20")
TENANTS: Final = (
    "harbour-media", "orchard-robotics", "meridian-robotics", "beacon-bank", "beacon-books",
    "summit-robotics", "harbour-logistics", "willow-clinic", "quarry-legal", "cedar-travel",
    "atlas-energy", "delta-schools",
)  # fmt: skip
_MODELS: Final = (
    ("openai", "gpt-5-2025-08-07", "gpt-5"), ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
)  # fmt: skip
_FEATURES: Final = ("chat", "agent", "search", "summarise", "indexing")
_DAY_NS: Final = 86_400 * 10**9
RUN: Final = "run-with-everything"
RUNAWAY: Final = "run-that-does-not-end"


class _Call(NamedTuple):
    opened: CallOpened
    closed: CallClosed


def write_history(
    data_dir: Path,
    *,
    calls: int = 900,
    days: int = 75,
    hostile: bool = True,
    seed: int = 1,
    runaway_calls: int = 0,
) -> list[str]:
    """Write calls spread over the last days into a spool; return their ids, the oldest first.

    With ``runaway_calls``, a run of orchard-robotics makes so many dear calls within the last hour.
    """
    chance = random.Random(seed)
    spool = data_dir / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    writer = SpoolWriter(spool, new_writer_name(0), Config().spool, version=__version__)
    written = []
    late = _runaway(clock.unix_ns(), runaway_calls)
    for one in chain(_calls(chance, calls, days, hostile=hostile), late):
        writer.append(one.opened)
        writer.append(one.closed)
        written.append(ids.to_text(one.opened.call_id))
    writer.flush()
    writer.close()
    return written


def _calls(chance: random.Random, number: int, days: int, *, hostile: bool) -> Iterator[_Call]:
    now_ns = clock.unix_ns()
    start_ns = now_ns - days * _DAY_NS
    names = [*TENANTS, *(HOSTILE if hostile else ())]
    for at in range(number):
        # Growing, and with the largest tenant in a frenzy at the end.
        share = (at / number) ** 0.8
        started_ns = start_ns + int(share * (now_ns - start_ns - 120 * 10**9))
        is_late_frenzy = share > 0.95 and chance.random() < 0.6
        tenant = "orchard-robotics" if is_late_frenzy else _pick(chance, names)
        owner: str | None = None if chance.random() < 0.02 else tenant
        yield _one(chance, started_ns, owner, names.index(tenant), is_long=is_late_frenzy)
    yield from _run(now_ns - 3600 * 10**9)


def _pick(chance: random.Random, names: list[str]) -> str:
    return names[min(int(chance.expovariate(0.28)), len(names) - 1)]


def _one(
    chance: random.Random, started_ns: int, tenant: str | None, number: int, *, is_long: bool
) -> _Call:
    provider, actual, requested = chance.choice(_MODELS)
    feature = chance.choice(_FEATURES)
    fresh, cached = chance.randint(200, 6000) * (9 if is_long else 1), chance.choice((0, 0, 4000))
    output = chance.randint(50, 1500)
    state = chance.choices(("ok", "error", "unpriced", "cancelled"), (90, 4, 1, 2))[0]
    run = f"run-{chance.randint(1, 60):03}" if feature == "agent" else None
    identity = Identity(
        tenant_id=tenant,
        user_id=None if tenant is None else f"u{number:03}-{chance.randint(1, 9)}",
        feature=None if tenant is None else feature, agent_run_id=run,
        workflow_id="support-agent" if run else None, environment="production",
        tags={"plan": chance.choice(("gold", "free"))},
        sources={"tenant_id": "tollbook_header"} if tenant else {},
        request_id=f"req-{chance.randint(1, 400)}",
    )  # fmt: skip
    call_id = ids.new_id()
    model = "house-model-7b" if state == "unpriced" else actual
    opened = CallOpened(
        call_id=call_id, started_at_ns=started_ns, identity=identity, provider=provider,
        dialect=provider, operation="chat", metering=Metering.METERED, method="POST",
        path="/v1/chat/completions", model_requested=model if state == "unpriced" else requested,
        is_stream=chance.random() < 0.5, request_bytes=4 * fresh, input_chars=4 * fresh,
        call_site=None if tenant else f"jobs/nightly.py:{chance.choice((12, 48))} run",
        observer=None if tenant else Observer.SDK,
        layers=(Section.SYSTEM, 900, Section.TOOL_DEFINITIONS, 700, Section.HISTORY, 1500,
                Section.USER_INPUT, 400),
    )  # fmt: skip
    took_ns = chance.randint(300, 9000) * 10**6
    is_ok = state in ("ok", "unpriced")
    closed = CallClosed(
        call_id=call_id, closed_at_ns=started_ns + took_ns, duration_ns=took_ns,
        status=Status.OK if is_ok else Status(state), http_status=200 if is_ok else 500,
        error_type=None if is_ok else "server_error", model_actual=model if is_ok else None,
        usage=(_usage(provider, fresh, cached, output),) if is_ok else (), usage_complete=is_ok,
        provider_response_id=f"resp-{call_id.hex()}" if is_ok else None,
        time_to_first_token_ns=took_ns // 4 if is_ok else None, is_billable=is_ok,
    )  # fmt: skip
    return _Call(opened, closed)


def _usage(provider: str, fresh: int, cached: int, output: int) -> bytes:
    if provider == "anthropic":
        return (
            b'{"input_tokens":%d,"cache_read_input_tokens":%d,"cache_creation_input_tokens":%d,'
            b'"output_tokens":%d}' % (fresh, cached, cached // 4, output)
        )
    return (
        b'{"prompt_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},'
        b'"completion_tokens":%d,"total_tokens":%d}'
        % (fresh + cached, cached, output, fresh + cached + output)
    )


def _run(started_ns: int) -> Iterator[_Call]:
    """A run whose second call is a failure, whose third tries it again."""
    first: Any = None
    for at, (status, step) in enumerate(
        [("ok", "plan"), ("error", "search"), ("ok", "search"), ("ok", "write")]
    ):
        call_id = ids.new_id()
        opened = CallOpened(
            call_id=call_id, started_at_ns=started_ns + at * 4 * 10**9, provider="openai",
            identity=Identity(
                tenant_id="harbour-media", feature="agent", agent_run_id=RUN, workflow_step=step,
                workflow_id="support-agent", user_id="u000-1",
            ),
            dialect="openai", operation="chat", metering=Metering.METERED, method="POST",
            path="/v1/chat/completions", model_requested="gpt-4o-mini",
            operation_id=first, retry_of=first,
        )  # fmt: skip
        first = call_id if status == "error" else None
        is_ok = status == "ok"
        closed = CallClosed(
            call_id=call_id, closed_at_ns=opened.started_at_ns + 3 * 10**9, duration_ns=3 * 10**9,
            status=Status(status), http_status=200 if is_ok else 500,
            model_actual="gpt-4o-mini-2024-07-18" if is_ok else None,
            usage=(_usage("openai", 900 + at, 0, 80),) if is_ok else (), usage_complete=is_ok,
            is_billable=is_ok,
        )  # fmt: skip
        yield _Call(opened, closed)


def _runaway(now_ns: int, number: int) -> Iterator[_Call]:
    """An agent that reads everything again in each step, and never comes to an end."""
    for at in range(number):
        started_ns = now_ns - 3000 * 10**9 + at * 2400 * 10**9 // number
        opened = CallOpened(
            call_id=ids.new_id(), started_at_ns=started_ns, provider="anthropic",
            identity=Identity(
                tenant_id="orchard-robotics", feature="agent", agent_run_id=RUNAWAY,
                workflow_id="support-agent", workflow_step="search", user_id="u001-1",
            ),
            dialect="anthropic", operation="chat", metering=Metering.METERED, method="POST",
            path="/v1/messages", model_requested="claude-sonnet-4-5",
        )  # fmt: skip
        closed = CallClosed(
            call_id=opened.call_id, closed_at_ns=started_ns + 10**9, duration_ns=10**9,
            status=Status.OK, http_status=200, model_actual="claude-sonnet-4-5-20250929",
            usage=(_usage("anthropic", 150_000, 0, 900),), usage_complete=True, is_billable=True,
            provider_response_id=f"msg-{opened.call_id.hex()}",
        )  # fmt: skip
        yield _Call(opened, closed)


if __name__ == "__main__":
    print(len(write_history(Path(sys.argv[1]), calls=int(sys.argv[2]) if sys.argv[2:] else 900)))
