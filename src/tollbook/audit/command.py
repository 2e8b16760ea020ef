"""``tollbook audit``: what was asked for is read, judged, written and checked."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tollbook.audit.checks import failures
from tollbook.audit.options import parse
from tollbook.audit.outputs.call_file import OutputError
from tollbook.audit.outputs.hops import plain
from tollbook.audit.outputs.reading import trouble_words
from tollbook.audit.outputs.style import Style, style_of
from tollbook.audit.outputs.terminal import headline
from tollbook.audit.outputs.written import written
from tollbook.audit.running import Ran, run
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.audit.options import Options
    from tollbook.audit.read import Trouble
    from tollbook.audit.report import Audit

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
_TOLD_MAX: Final = 10
INTERRUPTED: Final = 130
"""As a shell has it: 128 and the number of SIGINT."""


class NothingReadError(TollbookError):
    """No input held a span."""

    def __init__(self, audit: Audit) -> None:
        told = "; ".join(_first_of_each(audit)) or "the inputs are empty"
        super().__init__(f"no spans were read: {told}; --help says which files are understood")


class NothingInWindowError(TollbookError):
    """All spans began outside of the time that was asked for."""

    def __init__(self, spans: int, options: Options) -> None:
        bounds = [
            f"{name} {value}"
            for name, value in (("--since", options.since), ("--until", options.until))
            if value is not None
        ]
        which = f"all {spans:,} spans that were read" if spans > 1 else "the only span"
        super().__init__(f"{which} began outside of {' '.join(bounds)}; nothing is left to audit")


def main(arguments: Sequence[str] | None = None, *, debug: bool = False) -> int:
    """Run the command and return its exit code; errors are one line on standard error.

    Args:
        arguments: of the command line, without the command's own name.
        debug: whether to show where an error comes from.
    """
    try:
        return _main(parse(arguments))
    except TollbookError as error:
        if debug:
            traceback.print_exc()
        _say(f"tollbook: {error.message}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone (head, less). What Python still holds for it must not fail
        # again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except SystemExit as stopped:  # --help
        return stopped.code if isinstance(stopped.code, int) else DONE
    except Exception as error:
        if debug:
            raise
        _say(
            f"tollbook: unexpected {type(error).__name__}: {error} "
            "(a defect; tollbook --debug shows where)"
        )
        return FAILED


def _main(options: Options) -> int:
    if options.show_rules:
        from tollbook.audit.outputs.rules import rules_text  # noqa: PLC0415 -- when it is used

        _print(rules_text(options.format_of(None), style_of(sys.stdout)))
        return DONE
    ran = run(options)
    if not ran.was_stopped:
        _check_window(options, ran.audit)
    _write(options, ran)
    if ran.was_stopped:
        return INTERRUPTED
    if not ran.audit.spans:
        raise NothingReadError(ran.audit)
    if options.live_minutes and not options.quiet:
        _say_refused(ran.audit)
    failed = failures(options, ran.audit, ran.comparison)
    for problem in failed:
        _say(f"tollbook: {problem}")
    return FAILED if failed else DONE


def _check_window(options: Options, audit: Audit) -> None:
    read = sum(one.spans for one in audit.inputs)
    if read and not audit.spans and (options.since is not None or options.until is not None):
        raise NothingInWindowError(read, options)


def _first_of_each(audit: Audit) -> list[str]:
    """Return the first problem of each input, with its place."""
    first: dict[str, Trouble] = {}
    for one in audit.troubles:
        first.setdefault(one.where.source, one)
    told = [trouble_words(one) for one in list(first.values())[:_TOLD_MAX]]
    if len(first) > _TOLD_MAX:
        told.append(f"and {len(first) - _TOLD_MAX} more inputs")
    return told


def _say_refused(audit: Audit) -> None:
    """Say what a live endpoint refused: its sender may not show the answer."""
    refused = sum(one.troubles for one in audit.inputs)
    if refused:
        first = f": {audit.troubles[0].problem}" if audit.troubles else ""
        _say(f"tollbook: {refused:,} of what came could not be read and was refused, first{first}")


def _write(options: Options, ran: Ran) -> None:
    form = options.format_of(None)
    if not options.outputs:
        style = style_of(sys.stdout)
        _print(_text(options, ran, form, style))
        return
    for path in options.outputs:
        text = _text(options, ran, options.format_of(path), Style())
        if path == "-":
            _print(text)
            continue
        try:
            Path(path).write_text(text, encoding="utf-8", errors="replace", newline="\n")
        except OSError as error:
            raise OutputError("--output", path, error.strerror or "cannot be written") from error
    if not options.quiet:
        _say(f"{headline(ran.audit)}. Written to {', '.join(options.outputs)}")


def _text(options: Options, ran: Ran, form: str, style: Style) -> str:
    return written(
        ran.audit,
        form,
        style=style,
        full=options.full,
        show_names=options.show_names,
        comparison=ran.comparison,
    )


def _print(text: str) -> None:
    """Write to standard output, in an encoding that may know less than the report."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
    sys.stdout.flush()


def _say(text: str) -> None:
    """Write a line to standard error; names of files and problems may hold anything."""
    encoding = sys.stderr.encoding or "utf-8"
    print(plain(text).encode(encoding, errors="replace").decode(encoding), file=sys.stderr)  # noqa: T201 -- a command line
