"""What is planted in which run, and what an auditor must say of it.

A hop names spans as ``service: name``; ``the call`` is the span of the call itself, whatever its
instrumentation calls it. What is expected follows from the product's code alone, never from what
the auditor said.
"""

from __future__ import annotations

from typing import Final, NamedTuple

INSTRUMENTATIONS: Final = ("opentelemetry", "openllmetry", "openinference", "logfire")


class Expected(NamedTuple):
    """One thing that must be found."""

    mode: str
    parts: tuple[str, ...]
    """Calls whose ticket ends in a part that begins so are concerned; an empty one is all."""
    last_seen: tuple[str, ...]
    """The span that had identity last, any of these; empty where it was never there."""
    first_missing: tuple[str, ...]
    loses_owner: bool = True
    """Whether these calls have no owner; else they are counted wrongly, or told to others."""


class Planted(NamedTuple):
    """A run with one thing wrong; with nothing expected it is a clean one."""

    name: str
    title: str
    switches: tuple[str, ...]
    expected: tuple[Expected, ...] = ()
    instrumentations: tuple[str, ...] = INSTRUMENTATIONS


_NOT_LOGFIRE: Final = INSTRUMENTATIONS[:3]
"""Logfire itself carries the context into thread pools: there the fault is none."""
_SUB: Final = ("sub",)
_BACKGROUND: Final = (
    Expected("background-jobs", ("job",), ("web: apply_async/summarise", "web: POST /documents"),
             ("worker: run/summarise",)),
    Expected("background-jobs", ("index",), ("web: POST /documents",),
             ("indexer: index document",)),
)  # fmt: skip

PLAN: Final[tuple[Planted, ...]] = (
    Planted("clean", "nothing is wrong", ()),
    Planted("clean-retries", "providers fail at first; the clients try again", ("retries",)),
    Planted("clean-gateway", "calls go through a gateway that goes on with the trace",
            ("gateway",)),
    Planted("clean-langchain", "LangChain is watched as well as the client below it",
            ("langchain",), (), ("openllmetry",)),
    Planted("clean-pools", "sub-agents run in a plain thread pool, which Logfire looks after",
            ("agent-recursion",), (), ("logfire",)),
    Planted("clean-stream-threads", "streams are read in a plain pool, which Logfire looks after",
            ("streaming",), (), ("logfire",)),
    Planted("single-key", "the web names no tenant anywhere", ("single-key",),
            (Expected("single-key", ("",), (), ("web: POST /ask", "web: POST /agent",
                                                "web: POST /documents", "the call")),)),
    Planted("single-key-gateway", "calls go through a gateway that begins traces of its own",
            ("gateway", "gateway-blind"),
            (Expected("single-key", ("",), (), ("the call",)),)),
    Planted("stripped-headers", "a proxy before the agents drops headers it does not know",
            ("stripped-headers",),
            (Expected("header-stripping", ("plan", "write", "sub"), ("web: POST",),
                      ("agent: POST /run",)),)),
    Planted("stripped-baggage", "a proxy before the agents lets the trace pass, not the baggage",
            ("stripped-baggage",),
            (Expected("header-stripping", ("plan", "write", "sub"), ("web: POST",),
                      ("agent: POST /run",)),)),
    Planted("background-jobs", "jobs are enqueued without anything of who asked for them",
            ("background-jobs",), _BACKGROUND),
    Planted("background-baggage", "jobs go on with the trace, not with the baggage",
            ("background-baggage",), _BACKGROUND),
    Planted("streaming", "streams are read in a thread that knows nothing of the request",
            ("streaming",),
            (Expected("streaming", ("stream",), ("web: POST /ask",), ("the call",)),),
            _NOT_LOGFIRE),
    Planted("streaming-usage", "streams are not asked to tell their usage", ("streaming-usage",),
            (Expected("streaming", ("stream",), (), ("the call",), loses_owner=False),)),
    Planted("streaming-abandoned", "readers leave streams before usage has come",
            ("streaming-abandoned",),
            (Expected("streaming", ("stream",), (), ("the call",), loses_owner=False),)),
    Planted("agent-recursion", "sub-agents run in a plain thread pool", ("agent-recursion",),
            (Expected("agent-recursion", _SUB,
                      ("agent: POST /run", "agent: invoke_agent supervisor"),
                      ("agent: invoke_agent researcher", "agent: invoke_agent checker")),),
            _NOT_LOGFIRE),
    Planted("agent-baggage", "sub-agents go on with the span, not with the baggage",
            ("agent-baggage",),
            (Expected("agent-recursion", _SUB, ("agent: invoke_agent supervisor",),
                      ("agent: invoke_agent researcher",)),)),
    Planted("embeddings-retrieval", "embeddings are gathered by a thread of their own",
            ("embeddings-retrieval",),
            (Expected("embeddings-retrieval", ("find", "subfind"),
                      ("web: retrieve", "agent: retrieve"), ("the call",)),)),
    Planted("baggage-third-party", "headers for a gateway of one's own go to the providers",
            ("baggage-third-party",),
            (Expected("baggage-leak", ("",), (), (), loses_owner=False),),
            ("opentelemetry", "openllmetry")),  # with the others no span of the request is made
    Planted("twice-told", "two instrumentations watch the same client", ("twice-told",),
            (Expected("double-counting", ("",), (), (), loses_owner=False),),
            ("opentelemetry",)),
    Planted("twice-told-sdk", "the client tells of its calls itself, and is watched as well",
            ("twice-told",),
            (Expected("double-counting", ("plan", "write", "sub-contracts", "sub-usage"), (), (),
                      loses_owner=False),), ("openinference",)),
)  # fmt: skip
