"""Measure how well the weights of a request tell its layers, and write it into docs/layers.md.

``python tools/layer_error.py`` compares them with a tokenizer (``rs-bpe``, o200k) on generated
requests whose layers are known, once made of texts written for it and once of files that happen to
be there: those of installed packages. ``--print`` writes nothing.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from unittest.mock import patch

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import layer_texts  # noqa: E402
from tools.layer_requests import Request, requests  # noqa: E402

from tollbook.dialects import layer_media, plain_chat, request_layers  # noqa: E402 -- from the root
from tollbook.dialects.layer_marks import marked_layers  # noqa: E402
from tollbook.dialects.registry import dialect_named  # noqa: E402
from tollbook.layers import LAYER_OF, Section  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE: Final = ROOT / "docs" / "layers.md"
BEGIN: Final = "<!-- measured: written by tools/layer_error.py -->\n"
END: Final = "<!-- end of measured -->\n"
REQUESTS: Final = 720
SHOWN: Final = ("prompt", "tool", "context", "user")
_OTHERS: Final = """{count} requests of texts that the classes of bytes were not fitted to: source
code, JSON, translations and documentation of installed packages (not measured again by a test, for
it depends on what is installed):"""
GOAL_POINTS: Final = 5.0
GOAL_SHARE: Final = 0.9


class Error(NamedTuple):
    """How far off one request is, in percentage points of its worst layer."""

    request: Request
    points: float
    layer: str


def count_o200k() -> Callable[[str], int]:
    """Return the tokenizer's count."""
    from rs_bpe import openai  # noqa: PLC0415 -- an extra

    counted: Callable[[str], int] = openai.o200k_base().count
    return counted


def by_layer(layers: Sequence[int] | None) -> dict[str, float]:
    """Return the weight of each layer."""
    sums: dict[str, float] = defaultdict(float)
    for at in range(0, len(layers or ()), 2):
        assert layers is not None
        sums[LAYER_OF[Section(layers[at])]] += layers[at + 1]
    return sums


def worst(truth: dict[str, float], found: dict[str, float]) -> tuple[float, str]:
    """Return the largest difference of shares, in points, and of which layer it is."""
    all_true, all_found = sum(truth.values()) or 1, sum(found.values()) or 1
    points = {
        layer: 100 * abs(truth.get(layer, 0) / all_true - found.get(layer, 0) / all_found)
        for layer in SHOWN
    }
    layer = max(points, key=points.__getitem__)
    return points[layer], layer


def measure(count: int = REQUESTS, seed: int = 4) -> list[Error]:
    """Return the errors of generated requests."""
    errors = []
    for request in requests(count, count_o200k(), seed):
        dialect = dialect_named(request.dialect)
        route = dialect.route("POST", request.path)
        layered, problems = marked_layers(dialect, route, request.body, request.marks)
        assert not problems, problems
        points, layer = worst(request.truth, by_layer(layered.layers))
        errors.append(Error(request, points, layer))
    return errors


def measure_bytes(count: int = REQUESTS, seed: int = 4) -> list[Error]:
    """Return the errors with the plain number of bytes for weights."""
    with ExitStack() as stack:
        for module in (plain_chat, layer_media):
            stack.enter_context(patch.object(module, "weigh", len))
        # What was weighed before is remembered.
        stack.enter_context(patch.dict(plain_chat.prompts_seen, clear=True))
        token = request_layers.weigher.set(len)
        stack.callback(request_layers.weigher.reset, token)
        return measure(count, seed)


def within(errors: Sequence[Error]) -> float:
    """Return the share of requests within the goal's points."""
    return sum(error.points <= GOAL_POINTS for error in errors) / (len(errors) or 1)


def _row(name: str, errors: Sequence[Error]) -> str:
    points = sorted(error.points for error in errors)
    at = [points[min(len(points) - 1, int(len(points) * share))] for share in (0.5, 0.9, 0.99)]
    cells = [name, str(len(points)), *[f"{each:.1f}" for each in at], f"{within(errors):.1%}"]
    return "| " + " | ".join(cells) + " |"


def table(errors: Sequence[Error]) -> list[str]:
    """Return a table of all and of groups."""
    lines = ["| | requests | median | p90 | p99 | within 5 points |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |", _row("**all**", errors)]
    for key in (
        lambda error: error.request.scenario,
        lambda error: error.request.material,
        lambda error: {"openai": "OpenAI", "anthropic": "Anthropic"}[error.request.dialect],
    ):
        groups: dict[str, list[Error]] = defaultdict(list)
        for error in errors:
            groups[key(error)].append(error)
        lines += [_row(name, groups[name]) for name in sorted(groups)]
    return [*lines, ""]


def section(count: int = REQUESTS) -> str:
    """Return what is measured, as a part of the page."""
    errors = measure(count)
    lines = [f"{count} requests of texts written for this (`tools/layer_texts.py`):", ""]
    lines += table(errors)
    lines += ["The worst of them:", ""]
    lines += [
        f"- {error.points:.1f} points in the {error.layer} layer: {error.request.scenario},"
        f" {error.request.material}, {error.request.dialect}, {len(error.request.body)} bytes"
        for error in sorted(errors, key=lambda error: -error.points)[:5]
    ]
    plain = measure_bytes(count)
    lines += ["", "The same with plain bytes for weights:", "", *table(plain)[:3], ""]
    with layer_texts.of_files(Path(sysconfig.get_path("purelib"))):
        lines += [_OTHERS.format(count=count), "", *table(measure(count, seed=5))]
    return "\n".join(lines)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="write no file")
    arguments = parser.parse_args()
    text = section()
    if arguments.print:
        print(text)
        return
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + after)
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
