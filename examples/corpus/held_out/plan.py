"""What is planted in the worlds that the rules had never seen."""

from __future__ import annotations

from typing import Final

from examples.corpus.plan import Expected, Planted

WORLDS: Final = {"bureau": "openllmetry", "lab": "opentelemetry"}
"""Each product, and the instrumentation that watches its calls to models."""


def _planted(world: str, fault: str, title: str, switches: tuple[str, ...],
             *expected: Expected) -> Planted:  # fmt: skip
    return Planted(f"{world}-{fault}", title, switches, expected, (WORLDS[world],))


HELD_OUT: Final[tuple[Planted, ...]] = (
    _planted("bureau", "clean", "nothing is wrong", ()),
    _planted("bureau", "single-key", "the portal names no firm", ("single-key",),
             Expected("single-key", ("",), (), ("portal: POST /letters", "portal: POST /cases",
                                                "portal: POST /papers", "the call"))),
    _planted("bureau", "stripped-baggage", "a proxy before the scorer drops the baggage",
             ("stripped-baggage",),
             Expected("header-stripping", ("find", "review", "verdict"), ("portal: POST",),
                      ("scorer: POST /score",))),
    _planted("bureau", "background-jobs", "RQ's jobs carry nothing", ("background-jobs",),
             Expected("background-jobs", ("job",), ("portal: POST /papers",),
                      ("filing: rq file_away",))),
    _planted("bureau", "streaming", "Flask reads the generator when the request is done with",
             ("streaming",),
             Expected("streaming", ("stream",), ("portal: POST /letters",), ("the call",))),
    _planted("bureau", "agent-recursion", "reviewers run in a pool without the context",
             ("agent-recursion",),
             Expected("agent-recursion", ("review",),
                      ("scorer: POST /score", "scorer: invoke_agent chair"),
                      ("scorer: invoke_agent strict reviewer",
                       "scorer: invoke_agent lenient reviewer"))),
    _planted("bureau", "embeddings-retrieval", "a thread of its own embeds",
             ("embeddings-retrieval",),
             Expected("embeddings-retrieval", ("find",), ("scorer: retrieve",), ("the call",))),
    _planted("lab", "clean", "nothing is wrong", ()),
    _planted("lab", "single-key", "the interface names no lab", ("single-key",),
             Expected("single-key", ("",), (), ("api: POST /talk", "api: POST /plan",
                                                "api: POST /note", "the call"))),
    _planted("lab", "stripped-headers", "a proxy before the helpers drops all it does not know",
             ("stripped-headers",),
             Expected("header-stripping", ("find", "scout", "summing"), ("api: POST",),
                      ("helpers: POST /work",))),
    _planted("lab", "background-jobs", "a queue in the process carries nothing",
             ("background-jobs",),
             Expected("background-jobs", ("job",), ("api: POST /note",),
                      ("api: write up note",))),
    _planted("lab", "streaming", "run_in_executor leaves the context behind", ("streaming",),
             Expected("streaming", ("stream",), ("api: POST /talk",), ("the call",))),
    _planted("lab", "agent-recursion", "scouts are threads of their own", ("agent-recursion",),
             Expected("agent-recursion", ("scout",),
                      ("helpers: POST /work", "helpers: invoke_agent lead"),
                      ("helpers: invoke_agent scout a", "helpers: invoke_agent scout b"))),
    _planted("lab", "embeddings-retrieval", "a task of its own embeds", ("embeddings-retrieval",),
             Expected("embeddings-retrieval", ("find",), ("helpers: search notes",),
                      ("the call",))),
)  # fmt: skip
