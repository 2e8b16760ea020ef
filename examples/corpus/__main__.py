"""``python -m examples.corpus``: record the corpus anew, or hold the auditor against it."""

from __future__ import annotations

from pathlib import Path

import click

from examples.corpus.held_out.plan import HELD_OUT
from examples.corpus.page import PAGE, written
from examples.corpus.plan import INSTRUMENTATIONS, PLAN
from examples.corpus.replay import HELD_OUT_DIR, RECORDED, recorded
from examples.corpus.score import Judged, judge_all


@click.command()
@click.option("--record", "into", type=click.Path(path_type=Path),
              help="Run the product and write what it tells into this directory.")  # fmt: skip
@click.option("--held-out", is_flag=True, help="The worlds that the rules had never seen.")
@click.option("--only", multiple=True, help="Only these runs (clean, single-key, ...).")
@click.option("--by", "by", multiple=True, type=click.Choice(INSTRUMENTATIONS),
              help="Only these instrumentations.")  # fmt: skip
@click.option("--score", is_flag=True, help="Say of each run what was found and what was missed.")
@click.option("--write-page", is_flag=True, help="Write the figures of docs/audit-accuracy.md.")
@click.option("--data", type=click.Path(path_type=Path, exists=True),
              help="Recorded runs that are scored, in place of the recorded corpus.")  # fmt: skip
def main(
    into: Path | None,
    held_out: bool,  # noqa: FBT001 -- a command-line flag
    only: tuple[str, ...],
    by: tuple[str, ...],
    score: bool,  # noqa: FBT001 -- a command-line flag
    write_page: bool,  # noqa: FBT001 -- a command-line flag
    data: Path | None,
) -> None:
    """Make traces of a product that real instrumentations watch, and audit them."""
    plan = [
        planted for planted in (HELD_OUT if held_out else PLAN) if not only or planted.name in only
    ]
    if into is not None:
        from examples.corpus.record import record  # noqa: PLC0415 -- needs more than scoring

        record(into, [
            (instrumentation, planted)
            for instrumentation in by or INSTRUMENTATIONS
            for planted in plan
            if instrumentation in planted.instrumentations
        ])  # fmt: skip
    if score:
        where = data or (HELD_OUT_DIR if held_out else RECORDED)
        for one in judge_all(recorded(where), plan):
            if not by or one.recorded.instrumentation in by:
                _say(one)
    if write_page:
        page = PAGE.read_text(encoding="utf-8")
        page = written(page, "corpus", list(judge_all(recorded(), PLAN)))
        page = written(page, "held out", list(judge_all(recorded(HELD_OUT_DIR), HELD_OUT)))
        PAGE.write_text(page, encoding="utf-8")


def _say(one: Judged) -> None:
    print(f"{one.recorded.name}.{one.recorded.instrumentation}: {len(one.recorded.calls)} calls, "
          f"{'as planted' if not one.missed and not one.false else ''}")  # fmt: skip
    for words in one.missed:
        print(f"  missed  {words}")
    for words in one.false:
        print(f"  false   {words}")


if __name__ == "__main__":
    main()
