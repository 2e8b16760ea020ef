"""``python -m examples.corpus``: record the corpus anew, or hold the auditor against it."""

from __future__ import annotations

from pathlib import Path

import click

from examples.corpus.plan import INSTRUMENTATIONS, PLAN
from examples.corpus.replay import RECORDED, recorded
from examples.corpus.score import Judged, judge_all


@click.command()
@click.option("--record", "into", type=click.Path(path_type=Path),
              help="Run the product and write what it tells into this directory.")  # fmt: skip
@click.option("--only", multiple=True, help="Only these runs (clean, single-key, ...).")
@click.option("--by", "by", multiple=True, type=click.Choice(INSTRUMENTATIONS),
              help="Only these instrumentations.")  # fmt: skip
@click.option("--score", is_flag=True, help="Say of each run what was found and what was missed.")
@click.option("--data", type=click.Path(path_type=Path, exists=True), default=RECORDED,
              help="Recorded runs that are scored.")  # fmt: skip
def main(
    into: Path | None,
    only: tuple[str, ...],
    by: tuple[str, ...],
    score: bool,  # noqa: FBT001 -- a command-line flag
    data: Path,
) -> None:
    """Make traces of a product that real instrumentations watch, and audit them."""
    if into is not None:
        from examples.corpus.record import record  # noqa: PLC0415 -- needs more than scoring

        record(into, [
            (instrumentation, planted)
            for instrumentation in by or INSTRUMENTATIONS
            for planted in PLAN
            if instrumentation in planted.instrumentations and (not only or planted.name in only)
        ])  # fmt: skip
    if score:
        runs = [
            run for run in recorded(data)
            if (not only or run.name in only) and (not by or run.instrumentation in by)
        ]  # fmt: skip
        for one in judge_all(runs, PLAN):
            _say(one)


def _say(one: Judged) -> None:
    print(f"{one.recorded.name}.{one.recorded.instrumentation}: {len(one.recorded.calls)} calls, "
          f"{'as planted' if not one.missed and not one.false else ''}")  # fmt: skip
    for words in one.missed:
        print(f"  missed  {words}")
    for words in one.false:
        print(f"  false   {words}")


if __name__ == "__main__":
    main()
