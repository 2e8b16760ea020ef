"""Prometheus text of several workers made one (exposition format 0.0.4).

Reads what :mod:`tollbook.capture.gateway.metrics` and its neighbours write, not all that the format
allows: whole numbers, no time stamps, each family with its HELP and TYPE before its samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Families = Mapping[str, "Family"]
    """By name, in the order of the text."""


class Family(NamedTuple):
    """The samples of one name."""

    kind: str
    help_text: str
    samples: dict[str, int]
    """By their labels as written: ``{a="b"}``, or nothing."""


def parse(text: str) -> dict[str, Family] | None:
    """Return the families of a text, None where it is damaged."""
    found: dict[str, Family] = {}
    name, help_text, samples = "", "", dict[str, int]()
    for line in text.split("\n"):
        if line.startswith("# HELP "):
            name, _, help_text = line[len("# HELP ") :].partition(" ")
        elif line.startswith("# TYPE "):
            samples = {}
            found[name] = Family(line.rpartition(" ")[2], help_text, samples)
        elif line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            if name not in found or not series.startswith(name) or not value.isdigit():
                return None
            samples[series[len(name) :]] = int(value)
    return found


def counters(families: Families) -> dict[str, Family]:
    """Return those that only ever grow."""
    return {name: family for name, family in families.items() if family.kind == "counter"}


def added(families: Families, earlier: Families) -> dict[str, Family]:
    """Return families with the counts of earlier lives added to their counters."""
    total = {
        name: family._replace(samples=dict(family.samples)) for name, family in families.items()
    }
    for name, family in earlier.items():
        samples = total.setdefault(name, family._replace(samples={})).samples
        for labels, value in family.samples.items():
            samples[labels] = samples.get(labels, 0) + value
    return total


def render(families: Families) -> str:
    """Return families as text."""
    lines: list[str] = []
    for name, family in families.items():
        lines += _head(name, family)
        lines += [f"{name}{labels} {value}" for labels, value in family.samples.items()]
    return "\n".join([*lines, ""])


def render_workers(workers: Iterable[tuple[int, Families]]) -> str:
    """Return the families of several workers as one text, each sample with the label ``worker``."""
    heads: dict[str, list[str]] = {}
    for number, families in workers:
        for name, family in families.items():
            lines = heads.setdefault(name, _head(name, family))
            for labels, value in family.samples.items():
                more = f",{labels[1:-1]}" if labels else ""
                lines.append(f'{name}{{worker="{number}"{more}}} {value}')
    return "\n".join([line for lines in heads.values() for line in lines] + [""])


def _head(name: str, family: Family) -> list[str]:
    return [f"# HELP {name} {family.help_text}", f"# TYPE {name} {family.kind}"]
