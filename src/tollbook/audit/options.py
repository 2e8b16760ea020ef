"""The command line of ``tollbook audit``, by the standard library alone: it runs without extras."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from msgspec import Struct

from tollbook.audit.hash_key import read_key
from tollbook.audit.settings import AuditSettings
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMATS: Final = ("table", "text", "json", "sarif", "junit", "html", "csv")
SEVERITIES: Final = ("error", "warning", "note")
_SUFFIXES: Final = {
    ".json": "json", ".sarif": "sarif", ".xml": "junit", ".html": "html", ".htm": "html",
    ".csv": "csv",
}  # fmt: skip
_SCORE_MAX: Final = 100
_PORT_MAX: Final = 65535
_MINUTES_MAX: Final = 7 * 24 * 60

_DESCRIPTION: Final = """\
Find where a pipeline loses whose call it is, what that costs, and what to change.

PATHS are traces and logs as other tools write them, plain or compressed; which they are is found
out by content: OTLP JSON, JSONL and protobuf (the OpenTelemetry Collector's file exporter), Jaeger,
Zipkin, Tempo, Datadog, Honeycomb, Langfuse, LangSmith, Helicone, Phoenix, LiteLLM, or logs of calls
as JSONL or CSV with --mapping. A folder is read whole; - is standard input. An audit as JSON is
shown again. Nothing leaves this machine, and what was said to a model or by it is dropped on
reading.
"""
_EPILOG: Final = """\
examples:
  tollbook audit traces.jsonl
  tollbook audit traces/ --output report.html
  tollbook audit traces.jsonl --output audit.sarif --output audit.json --fail-under 90
  tollbook audit --live 10                      listens on 127.0.0.1:4318 for ten minutes
  tollbook audit new.jsonl --compare audit.json

exit codes: 0 done, 1 a check failed, 2 bad input, 130 stopped by Ctrl-C (after a report on what was
read until then)
"""


class UsageError(TollbookError):
    """A command line that cannot be understood."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; see tollbook audit --help")


class Options(Struct, frozen=True, kw_only=True):
    """What was asked for."""

    paths: tuple[str, ...] = ()
    live_minutes: float | None = None
    listen: tuple[str, int] = ("127.0.0.1", 4318)
    format: str | None = None
    outputs: tuple[str, ...] = ()
    fail_under_millis: int | None = None
    fail_on: str | None = None
    compare: str | None = None
    calls: str | None = None
    mapping: str | None = None
    kind: str | None = None
    config: str | None = None
    since: str | None = None
    until: str | None = None
    tz: str = "UTC"
    show_rules: bool = False
    show_names: bool = False
    full: bool = False
    quiet: bool = False
    progress: bool = True
    settings: AuditSettings = AuditSettings()

    def format_of(self, output: str | None) -> str:
        """Return how an output is written: as asked for, or by the end of the file's name."""
        if self.format is not None:
            return self.format
        ending = re.search(r"\.[a-z]+\Z", (output or "").lower())
        return _SUFFIXES.get(ending.group() if ending else "", "table")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options that a command line gives.

    Raises:
        UsageError: it cannot be understood.
        HashKeyError: the file of ``--hash-key`` holds no key.
        SystemExit: help was asked for, and printed.
    """
    told = vars(_parser().parse_args(arguments))
    key_file = told.pop("hash_key")
    settings = AuditSettings(
        hash_key=b"" if key_file is None else read_key(key_file),
        hash_names=told.pop("hash_names"),
        redact_names=told.pop("redact_names"),
        tenant_attributes=tuple(told.pop("tenant_attribute")),
        trusted_hosts=tuple(told.pop("trusted_host")),
        tenant_pattern=told.pop("tenant_pattern"),
        price_age_max_days=told.pop("price_age"),
        ignore=tuple(told.pop("ignore")),
    )
    paths, outputs = tuple(told.pop("paths")), tuple(told.pop("output"))
    options = Options(paths=paths, outputs=outputs, settings=settings, **told)
    _check(options)
    return options


def option_names() -> set[str]:
    """Return all options, for a check of what the documentation says."""
    return {name for one in _parser()._actions for name in one.option_strings}  # noqa: SLF001 -- argparse has no other way


def _check(options: Options) -> None:
    if options.show_rules:
        return
    if options.live_minutes is not None and options.paths:
        raise UsageError("--live listens instead of reading: give no paths beside it")
    if options.live_minutes is None and not options.paths:
        raise UsageError("nothing to read: give files, folders or -, or --live MINUTES")
    if options.settings.redact_names and options.show_names:
        raise UsageError("--redact-names and --show-names contradict each other")
    is_hashed = options.settings.hash_names or options.settings.redact_names
    if options.settings.hash_key and not is_hashed:
        raise UsageError("--hash-key is for --hash-names or --redact-names: give one of them")
    if options.compare is not None and is_hashed and not options.settings.hash_key:
        raise UsageError(
            "--compare knows findings again by their names: give --hash-key FILE, the same for both"
        )
    if options.paths.count("-") > 1:
        raise UsageError("- can be read once only")


def _parser() -> _Parser:
    parser = _Parser(
        prog="tollbook audit",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="*", metavar="PATHS", help="files, folders, or -")
    _reading(parser.add_argument_group("reading"))
    _judging(parser.add_argument_group("judging"))
    _privacy(parser.add_argument_group("privacy"))
    _writing(parser.add_argument_group("writing"))
    _checks(parser.add_argument_group("checks"))
    return parser


def _reading(group: Any) -> None:
    add = group.add_argument
    add("--live", dest="live_minutes", type=_minutes, metavar="MINUTES",
        help="listen for OTLP so long, or until Ctrl-C")  # fmt: skip
    add("--listen", type=_address, default=("127.0.0.1", 4318), metavar="HOST:PORT",
        help="where --live listens (default: 127.0.0.1:4318)")  # fmt: skip
    add("--kind", metavar="NAME", help="what the files are, where that cannot be told by content")
    add("--mapping", metavar="FILE", help="TOML that names the columns of a JSONL or CSV log")
    add("--since", metavar="TIME",
        help="leave out spans that began before, such as 2026-11-01T08:00+01:00 or 7d")  # fmt: skip
    add("--until", metavar="TIME", help="leave out spans that began then or later")
    add("--tz", default="UTC", metavar="ZONE", help="IANA time zone of these (default: UTC)")


def _judging(group: Any) -> None:
    add = group.add_argument
    add("--tenant-attribute", action="append", default=[], metavar="NAME",
        help="a span attribute that names the tenant here; repeatable")  # fmt: skip
    add(
        "--tenant-pattern", type=_pattern, metavar="REGEX", help="what every tenant's id looks like"
    )
    add("--trusted-host", action="append", default=[], metavar="HOST",
        help="a host of your own, which may receive identity; repeatable")  # fmt: skip
    add("--config", metavar="FILE", help="tollbook.toml with prices of your own")
    add("--price-age", type=_days, default=30, metavar="DAYS",
        help="a price that is older is worth a note (default: 30)")  # fmt: skip
    add("--ignore", action="append", default=[], metavar="RULE",
        help="a rule that is not used, such as A14; repeatable")  # fmt: skip
    add("--rules", dest="show_rules", action="store_true", help="list the rules, and stop")


def _privacy(group: Any) -> None:
    add = group.add_argument
    add("--hash-names", action="store_true",
        help="replace tenants, users and other identity by hashes, a new key each run")  # fmt: skip
    add("--redact-names", action="store_true",
        help="replace names of services, spans and tools too")  # fmt: skip
    add("--hash-key", metavar="FILE",
        help="a key of your own for these hashes, so that audits can be compared")  # fmt: skip
    add("--show-names", action="store_true",
        help="show tenants and users in HTML, where they are numbered otherwise")  # fmt: skip


def _writing(group: Any) -> None:
    add = group.add_argument
    add("--format", choices=FORMATS,
        help="how the report is written (default: by the file's name, else table)")  # fmt: skip
    add("--output", action="append", default=[], metavar="FILE",
        help="write there: .html, .json, .sarif, .xml (JUnit), .csv, .txt; repeatable")  # fmt: skip
    add("--calls", metavar="FILE",
        help="write each call with its score there: .csv, else JSON Lines")  # fmt: skip
    add("--full", action="store_true", help="leave nothing out: all findings, spans and fixes")
    add("--quiet", action="store_true", help="say nothing on standard error but errors")
    add("--no-progress", dest="progress", action="store_false", help="no progress bar")


def _checks(group: Any) -> None:
    add = group.add_argument
    add("--fail-under", dest="fail_under_millis", type=_score, metavar="SCORE",
        help="exit with 1 where the score (0 to 100) is less")  # fmt: skip
    add("--fail-on", choices=SEVERITIES, help="exit with 1 on a finding so grave or graver")
    add("--compare", metavar="OLD.json",
        help="an earlier audit as JSON; exit with 1 where this one is worse")  # fmt: skip


def _score(text: str) -> int:
    whole, _, part = text.partition(".")
    is_number = (
        (whole + part).isascii() and (whole + part).isdecimal() and len(text) < len("100.00")
    )
    millis = int(whole or "0") * 10 + int(part or "0") if is_number and len(part) <= 1 else -1
    if not 0 <= millis <= _SCORE_MAX * 10:
        raise argparse.ArgumentTypeError(
            f"{text[:32]!r} is no score; expected 0 to 100, such as 90 or 87.5"
        )
    return millis


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= _MINUTES_MAX:
        raise argparse.ArgumentTypeError(
            f"{text[:32]!r} is no number of minutes; expected more than 0, up to {_MINUTES_MAX}"
        )
    return minutes


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len("36500")):
        raise argparse.ArgumentTypeError(f"{text[:32]!r} is no number of days; expected such as 30")
    return int(text)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and int(port[:6]) <= _PORT_MAX):
        raise argparse.ArgumentTypeError(
            f"{text[:64]!r} is no address; expected HOST:PORT, such as 127.0.0.1:4318"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(
            f"{text[:64]!r} is no regular expression ({error})"
        ) from error
    return text
