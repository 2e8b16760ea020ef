"""Options that commands share, and the context made of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click
from msgspec import Struct

from tollbook.config import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.reports.params import Pairs

Command = TypeVar("Command", bound="Callable[..., Any]")
Format = Literal["table", "json", "csv"]
FORMATS: Final = ("table", "json", "csv")
TIMES_HELP: Final = (
    "Date (2026-11-01), month (2026-11), time (2026-11-01T08:00+01:00), today, yesterday, week, "
    "last-week, month, last-month, all, or so long ago (30m, 24h, 7d, 4w)."
)


class Place(Struct, frozen=True):
    """Which settings and which data directory a command works on."""

    config: Config
    data_dir: Path


def place(config_path: Path | None, data_dir: Path | None) -> Place:
    """Read the settings and choose the data directory.

    Raises:
        ConfigError: naming file, key and expected value.
    """
    config = load_config(config_path, os.environ)
    return Place(config, data_dir or Path(config.store.dir))


def place_options(command: Command) -> Command:
    """Add ``--config`` and ``--data``."""
    path = click.Path(path_type=Path)
    for option in (
        click.option(
            "--data", "data_dir", type=path, metavar="DIR",
            help="Data directory.  [default: [store] dir]",
        ),
        click.option(
            "--config", "config_path", type=path, metavar="FILE",
            help="Settings.  [default: tollbook.toml, if there is one]",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def format_option(command: Command) -> Command:
    """Add ``--format``."""
    return click.option(
        "--format", "output_format", type=click.Choice(FORMATS), default=None,
        help="How to write the answer.  [default: table to a terminal, else json]",
    )(command)  # fmt: skip


def chosen_format(given: str | None) -> Format:
    """Return the format asked for; a table for a terminal, JSON for a program."""
    if given is None:
        return "table" if sys.stdout.isatty() else "json"
    chosen: Format = next(one for one in _KNOWN if one == given)
    return chosen


_KNOWN: Final[tuple[Format, ...]] = ("table", "json", "csv")


def range_options(command: Command) -> Command:
    """Add ``--since``, ``--until``, ``--period``, ``--tz`` and ``--where``."""
    for option in (
        click.option(
            "--where", multiple=True, metavar="FILTER",
            help="Such as tenant=acme,globex or status!=error or feature= (not set); repeatable.",
        ),
        click.option("--tz", metavar="ZONE", help="IANA time zone.  [default: UTC]"),
        click.option("--period", metavar="TIME", help="A day, week or month, instead of the two."),
        click.option("--until", metavar="TIME", help="First moment left out.  [default: now]"),
        click.option("--since", metavar="TIME", help=f"{TIMES_HELP}  [default: month]"),
    ):  # fmt: skip
        command = option(command)
    return command


def pairs_of(options: dict[str, Any]) -> Pairs:
    """Return the options that were given as the pairs of a query."""
    pairs: Pairs = []
    for name, value in options.items():
        if isinstance(value, tuple):
            pairs.extend((name, str(one)) for one in value)
        elif value is not None:
            pairs.append((name, str(value)))
    return pairs
