"""An audit as the command line asks for it: inputs, prices, progress, advice, comparison."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.audit.engine import audit
from tollbook.audit.options import UsageError
from tollbook.audit.outputs.as_json import FORMAT, read_audit
from tollbook.audit.progress import Bar
from tollbook.audit.report import Audit
from tollbook.audit.rules.catalogue import CATALOGUE
from tollbook.audit.stopping import Stop
from tollbook.audit.window import Windowed, bounds_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.audit.engine import Pricer
    from tollbook.audit.options import Options
    from tollbook.audit.read import Input

_HEAD_BYTES: Final = 256


class Ran(Struct, frozen=True):
    """What came of it."""

    audit: Audit
    was_stopped: bool = False
    comparison: Any = None
    """With the earlier audit; None where none was named."""


def run(options: Options) -> Ran:
    """Make the audit.

    Raises:
        TollbookError: of the options, the inputs that were named, or the settings.
    """
    _check_rules(options)
    earlier = None if options.compare is None else read_audit(options.compare)
    again = _made_before(options)
    if again is not None:
        return Ran(again, comparison=_compared(earlier, again))
    start_ns, end_ns = bounds_ns(options.since, options.until, options.tz)
    pricer = _pricer(options)
    inputs = _inputs(options)
    bar = Bar(sys.stderr, inputs) if _shows_progress(options) else None
    with Stop() as stop:
        watched = [stop.watched(one) for one in inputs]
        if start_ns is not None or end_ns is not None:
            watched = [Windowed(one, start_ns, end_ns) for one in watched]
        try:
            made = audit(watched, pricer, options.settings, bar, finish=finished)
        finally:
            if bar is not None:
                bar.close()
        return Ran(made, stop.is_asked, _compared(earlier, made))


def finished(made: Audit) -> Audit:
    """Return an audit with advice, and with what the score would be after each is taken."""
    from tollbook.audit.advice.advise import with_advice  # noqa: PLC0415 -- many words, used once

    return with_advice(made)


def _check_rules(options: Options) -> None:
    for name in options.settings.ignore:
        if name not in CATALOGUE:
            raise UsageError(
                f"argument --ignore: there is no rule {name[:32]!r}; --rules lists them"
            )


def _made_before(options: Options) -> Audit | None:
    """Return the audit that the only input is, if it is one."""
    if len(options.paths) != 1:
        return None
    path = Path(options.paths[0])
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    return read_audit(str(path)) if f'"{FORMAT}"'.encode() in head else None


def _inputs(options: Options) -> Sequence[Input]:
    if options.live_minutes is not None:
        from tollbook.audit.inputs.live import listen  # noqa: PLC0415 -- when it is used

        host, port = options.listen
        return [listen(host, port, options.live_minutes)]
    from tollbook.audit.inputs.sources import open_inputs  # noqa: PLC0415 -- as above

    mapping = None if options.mapping is None else Path(options.mapping)
    return open_inputs(options.paths, mapping=mapping, kind=options.kind)


def _pricer(options: Options) -> Pricer:
    from tollbook.audit import pricing  # noqa: PLC0415 -- as above

    age = options.settings.price_age_max_days
    if options.config is not None:
        return pricing.BookPricer(Path(options.config), age)
    return pricing.ListPricer(age)


def _shows_progress(options: Options) -> bool:
    return options.progress and not options.quiet and sys.stderr.isatty()


def _compared(earlier: Audit | None, made: Audit) -> Any:
    if earlier is None:
        return None
    from tollbook.audit.compare import compare  # noqa: PLC0415 -- as above

    return compare(earlier, made)
