"""The targets of routes in Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tollbook.capture.gateway.routing.target import Target


def target_metrics(targets: Iterable[tuple[str, Target]], now: float) -> bytes:
    """Return the families of all targets, each given with its route's name; none for no targets.

    ``now`` is loop time.
    """
    known = [(_labels(route, target), target) for route, target in targets]
    if not known:
        return b""
    lines: list[str] = []
    families: tuple[tuple[str, str, str, Callable[[Target], int]], ...] = (
        ("attempts_total", "counter", "Attempts.", lambda target: target.attempts),
        ("retries_total", "counter", "Attempts after a failed one of the same request.",
         lambda target: target.retries),
        ("fallbacks_total", "counter", "Attempts in the place of another target.",
         lambda target: target.fallbacks),
        ("failures_total", "counter", "Attempts that failed by the target's fault.",
         lambda target: target.failures),
        ("in_flight", "gauge", "Attempts now open.", lambda target: target.in_flight),
        ("breaker", "gauge", "Circuit breaker: 0 closed, 1 half open, 2 open.",
         lambda target: int(target.breaker.state(now))),
        ("first_byte_us", "gauge", "Time to first byte, moving average, microseconds.",
         lambda target: round((target.latency_s or 0) * 1_000_000)),
    )  # fmt: skip
    for name, kind, help_text, value in families:
        family = f"tollbook_gateway_target_{name}"
        lines += [f"# HELP {family} {help_text}", f"# TYPE {family} {kind}"]
        lines += [f"{family}{labels} {value(target)}" for labels, target in known]
    lines.append("")
    return "\n".join(lines).encode()


def _labels(route: str, target: Target) -> str:
    pairs = ("route", route), ("provider", target.upstream.name), ("model", target.model or "*")
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
