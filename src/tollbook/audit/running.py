"""An audit as the command line asks for it: inputs, prices, progress, advice, comparison."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tollbook.audit.advice.advise import with_advice
from tollbook.audit.compare import Comparison, compare
from tollbook.audit.engine import audit
from tollbook.audit.hash_key import check_comparable, names_mark
from tollbook.audit.options import UsageError
from tollbook.audit.outputs.as_json import FORMAT, read_audit
from tollbook.audit.outputs.call_file import calls_to
from tollbook.audit.progress import Bar
from tollbook.audit.report import Audit
from tollbook.audit.rules.catalogue import CATALOGUE
from tollbook.audit.stopping import Stop
from tollbook.audit.window import Windowed, bounds_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.audit.engine import Pricer
    from tollbook.audit.inputs.live import Live
    from tollbook.audit.options import Options
    from tollbook.audit.read import Input

_HEAD_BYTES: Final = 256


class Ran(Struct, frozen=True):
    """What came of it."""

    audit: Audit
    was_stopped: bool = False
    comparison: Comparison | None = None
    """With the earlier audit; None where none was named."""


def run(options: Options) -> Ran:
    """Make the audit.

    Raises:
        TollbookError: of the options, the inputs that were named, or the settings.
    """
    _check_rules(options)
    earlier = None if options.compare is None else read_audit(options.compare)
    again = _made_before(options)
    if earlier is not None and options.compare is not None:
        names = names_mark(options.settings) if again is None else again.names
        check_comparable(options.compare, earlier.names, names)
    if again is not None:
        return Ran(again, comparison=_compared(earlier, again))
    bounds = bounds_ns(options.since, options.until, options.tz)
    pricer = _pricer(options)
    with ExitStack() as stack:
        live = stack.enter_context(closing(_listening(options))) if options.live_minutes else None
        inputs: Sequence[Input] = [live] if live is not None else _opened(options)
        each = None if options.calls is None else stack.enter_context(calls_to(options.calls))
        bar = _bar(options, inputs, stack)
        stop = stack.enter_context(Stop(None if live is None else live.stop))
        read = inputs if live is not None else [stop.watched(one) for one in inputs]
        if bounds != (None, None):
            read = [Windowed(one, *bounds) for one in read]
        made = audit(read, pricer, options.settings, bar, finish=with_advice, each_call=each)
        was_stopped = stop.is_asked and live is None
    return Ran(made, was_stopped, _compared(earlier, made))


def _check_rules(options: Options) -> None:
    for name in options.settings.ignore:
        if name not in CATALOGUE:
            raise UsageError(
                f"argument --ignore: there is no rule {name[:32]!r}; --rules lists them"
            )


def _made_before(options: Options) -> Audit | None:
    """Return the audit that the only input is, if it is one.

    Raises:
        UsageError: an audit stands among several inputs.
    """
    made = next((one for one in options.paths if _is_audit(Path(one))), None)
    if made is None:
        return None
    if len(options.paths) > 1:
        raise UsageError(
            f"{made} is the result of an audit, which is shown alone; to hold two against each"
            " other: tollbook audit NEW.json --compare OLD.json"
        )
    return read_audit(made)


def _is_audit(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return f'"{FORMAT}"'.encode() in file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False


def _opened(options: Options) -> Sequence[Input]:
    from tollbook.audit.inputs.sources import open_inputs  # noqa: PLC0415 -- as above

    mapping = None if options.mapping is None else Path(options.mapping)
    return open_inputs(options.paths, mapping=mapping, kind=options.kind)


def _listening(options: Options) -> Live:
    from tollbook.audit.inputs.live import listen  # noqa: PLC0415 -- when it is used

    live = listen(*options.listen, options.live_minutes)
    if not options.quiet:
        grpc = f" and {live.grpc_url} (gRPC)" if live.grpc_url else ""
        print(  # noqa: T201 -- a command line
            f"listening for OTLP on {live.url}{grpc} for {options.live_minutes:g} minutes; "
            "Ctrl-C ends it and shows the report",
            file=sys.stderr,
        )
    return live


def _pricer(options: Options) -> Pricer:
    from tollbook.audit import pricing  # noqa: PLC0415 -- as above

    age = options.settings.price_age_max_days
    if options.config is not None:
        return pricing.BookPricer(Path(options.config), age)
    return pricing.ListPricer(age)


def _bar(options: Options, inputs: Sequence[Input], stack: ExitStack) -> Bar | None:
    if not options.progress or options.quiet or not sys.stderr.isatty():
        return None
    return stack.enter_context(closing(Bar(sys.stderr, inputs)))


def _compared(earlier: Audit | None, made: Audit) -> Comparison | None:
    return None if earlier is None else compare(earlier, made)
