"""The rules: what each finds, why it loses the caller's identity, how to mend it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Rule(NamedTuple):
    """One rule; its number is stable."""

    id: str
    name: str
    summary: str
    why: str
    fix: str
    level: Literal["error", "warning"] = "error"


class Finding(NamedTuple):
    """One place in the code that a rule is about. Lines and columns count from 1."""

    path: str
    line: int
    column: int
    rule: Rule
    what: str


UNREADABLE: Final = Rule(
    "TB000", "unreadable-file",
    "A file cannot be read or is no Python.",
    "What it calls is not known.",
    "Mend the file, or leave it out with exclude.",
)  # fmt: skip
UNWRAPPED: Final = Rule(
    "TB001", "unwrapped-client",
    "A provider's client is made, or called, without the harness.",
    "Its requests carry no tenant, and nobody counts what they cost.",
    "Pass it to tollbook.wrap(...) where it is made, or make it in a module named in allow.",
)  # fmt: skip
ESCAPING: Final = Rule(
    "TB002", "client-class-passed-on",
    "A provider's client class is exported or handed on.",
    "Whoever gets the class makes clients that are not wrapped, where this check cannot see them.",
    "Hand on a function that returns tollbook.wrap(Client(...)), or a wrapped client.",
)  # fmt: skip
RAW_HTTP: Final = Rule(
    "TB003", "raw-http-to-provider",
    "A provider is called with a plain HTTP client.",
    "Such a request passes neither the harness nor the gateway: no tenant, no cost.",
    "Use the provider's client with tollbook.wrap(...), wrap the HTTP client itself, or send the"
    " request to the gateway.",
)  # fmt: skip
BASE_URL: Final = Rule(
    "TB004", "base-url-skips-gateway",
    "A base address points to a provider, past the gateway.",
    "The gateway never sees these calls, so neither identity nor budgets apply to them.",
    "Use the gateway's address (http://HOST:8080/openai/v1), or pass the client to"
    " tollbook.wrap(...).",
)  # fmt: skip
FRAMEWORK: Final = Rule(
    "TB005", "framework-model-unwrapped",
    "A model of LangChain, LlamaIndex or Pydantic AI makes a client of its own.",
    "That client is neither wrapped nor pointed to the gateway.",
    "Give it a wrapped client (http_client=tollbook.wrap(httpx.Client()),"
    " openai_client=tollbook.wrap(...)) or the gateway's base_url.",
)  # fmt: skip
GENERATOR: Final = Rule(
    "TB006", "identity-attached-in-generator",
    "A tenant is set around a yield.",
    "Between two steps the generator's context is its consumer's: the tenant leaks into whatever"
    " the consumer does, and may stay when the generator is dropped.",
    "Decorate the generator function (@tollbook.tenant(...)), or set the tenant around the loop"
    " that consumes it.",
)  # fmt: skip
THREAD: Final = Rule(
    "TB007", "context-dropped-by-thread",
    "Work is handed to a thread or process without its context.",
    "Threads and pools start with an empty context: calls made there have no tenant.",
    "Use PropagatingExecutor or run_in_context(...) of tollbook.sdk.propagation.threads, or call"
    " its instrument_threads() at start; asyncio.to_thread carries the context by itself.",
    "warning",
)  # fmt: skip
NO_REASON: Final = Rule(
    "TB008", "allowed-without-reason",
    "A finding is allowed without a reason.",
    "Nobody can tell later whether it is still right.",
    "Write it as: # tollbook: allow TB001 -- reason",
)  # fmt: skip

RULES: Final = (
    UNREADABLE, UNWRAPPED, ESCAPING, RAW_HTTP, BASE_URL, FRAMEWORK, GENERATOR, THREAD, NO_REASON,
)  # fmt: skip
BY_ID: Final = {one.id: one for one in RULES}
