"""Starts and stops what a run needs: Redis, simulated providers, the processes of the product."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx
import redis

from examples.corpus.collector import Collector
from examples.processes import ROOT, Starter, free_ports, redis_server
from tollbook.simulator.process import start_in_subprocess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CLIENTS: Final = ROOT / ".clients"
PLAIN: Final = {**os.environ, "PYTHONPATH": str(ROOT)}
"""The environment of all processes."""


class Ground(NamedTuple):
    """What all runs share."""

    provider_port: int
    redis_url: str
    collector: Collector
    home: Path


class Up(NamedTuple):
    """The product, running."""

    web_url: str
    redis_url: str
    truth_dir: Path


@contextlib.contextmanager
def on_ground(home: Path) -> Iterator[Ground]:
    """Run Redis, the providers and the collector for the length of a ``with``."""
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(start_in_subprocess(home / "provider-log"))
        (port,) = free_ports(1)
        start = Starter(stack, home, PLAIN)
        start("redis", [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                        "--appendonly", "no", "--dir", str(home)], {})  # fmt: skip
        url = f"redis://127.0.0.1:{port}/0"
        store = stack.enter_context(redis.Redis.from_url(url))
        start.wait_for("redis", store.ping)
        collector = Collector()
        stack.enter_context(collector.serving())
        yield Ground(int(simulator.base_url.rpartition(":")[2]), url, collector, home)


@contextlib.contextmanager
def product_up(ground: Ground, name: str, instrumentation: str, faults: Sequence[str],
               program: str) -> Iterator[Up]:  # fmt: skip
    """Run the product with faults for the length of a ``with``; what it tells is then written.

    Raises:
        NotReadyError: a process did not come up.
    """
    home = ground.home / name
    home.mkdir()
    with contextlib.ExitStack() as stack:
        with redis.Redis.from_url(ground.redis_url) as store:
            store.flushall()
        web, agent, gateway, proxy = free_ports(4)
        stripped = {"stripped-headers", "stripped-baggage"} & set(faults)
        around = surroundings(ground, home, instrumentation, faults) | {
            "CORPUS_AGENT_URL": f"http://agent.internal:{agent}",
            "CORPUS_GATEWAY_URL": f"http://llm.internal:{gateway}",
        }
        part = "corpus_openinference" if instrumentation == "openinference" else "corpus"
        python = str(CLIENTS / part / "bin" / "python")
        start = Starter(stack, home, PLAIN)
        ready: list[tuple[str, int]] = []

        def serve(service: str, port: int, changed: Mapping[str, str]) -> None:
            command = [python, "-m", "uvicorn", f"{program}.{service}:app", "--port", str(port),
                       "--log-level", "warning"]  # fmt: skip
            start(service, command, {**around, **changed})
            ready.append((service, port))

        serve("agent", agent, {})
        start("worker", [python, "-m", "celery", "-A", f"{program}.tasks", "worker", "--pool",
                         "solo", "--loglevel", "WARNING"], around)  # fmt: skip
        start("indexer", [python, "-m", f"{program}.indexer"], around)
        if "gateway" in faults:
            serve("gateway", gateway, {})
        if stripped:
            serve("proxy", proxy, {})
        to_agent = {"CORPUS_AGENT_URL": f"http://agent.internal:{proxy}"} if stripped else {}
        serve("web", web, to_agent)
        for service, port in ready:
            start.wait_for(service, partial(httpx.get, f"http://127.0.0.1:{port}/docs"))
        yield Up(f"http://127.0.0.1:{web}", ground.redis_url, home)


def surroundings(
    ground: Ground, home: Path, instrumentation: str, faults: Sequence[str]
) -> dict[str, str]:
    """Return what every process of a run finds in its environment."""
    around = {
        "CORPUS_INSTRUMENTATION": instrumentation,
        "CORPUS_FAULTS": ",".join(faults),
        "CORPUS_PROVIDER_PORT": str(ground.provider_port),
        "CORPUS_REDIS_URL": ground.redis_url,
        "CORPUS_OTLP_URL": ground.collector.url,
        "CORPUS_TRUTH_DIR": str(home),
        "TRACELOOP_TRACE_CONTENT": "false",
        "OPENINFERENCE_HIDE_INPUTS": "true",
        "OPENINFERENCE_HIDE_OUTPUTS": "true",
        "OPENINFERENCE_HIDE_EMBEDDINGS_VECTORS": "true",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http,gen_ai_latest_experimental",
    }
    if "twice-told" not in faults:
        # Anthropic's client from 2.x on makes spans of its own beside the instrumentation's.
        around["ANTHROPIC_OPEN_TELEMETRY"] = "false"
    if "baggage-third-party" in faults:
        around["OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST"] = "baggage"
    return around
