"""``tollbook lint``: calls to providers that no tenant goes with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from msgspec.structs import replace

from tollbook.lint.check import lint as check
from tollbook.lint.ruff import banned_api
from tollbook.lint.rules import RULES
from tollbook.lint.sarif import sarif
from tollbook.lint.settings import check_rules, read_settings

if TYPE_CHECKING:
    from tollbook.lint.check import Report
    from tollbook.lint.rules import Finding

_FOUND: Final = 1
_UNREADABLE: Final = 2


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format", "output_format", type=click.Choice(["table", "text", "json", "sarif"]),
    default="text", show_default=True, help="text names each place; table is the same.",
)  # fmt: skip
@click.option("--allow", multiple=True, metavar="MODULE", help="A module that may make clients.")
@click.option("--exclude", multiple=True, metavar="PATH", help="Files that are not read.")
@click.option("--ignore", multiple=True, metavar="RULE", help="A rule that is not used.")
@click.option("--gateway", multiple=True, metavar="URL", help="Where the gateway's address begins.")
@click.option("--ruff", is_flag=True, help="Print a banned-api configuration for ruff, and stop.")
@click.option("--rules", "show_rules", is_flag=True, help="Say what each rule is about, and stop.")
def lint(
    paths: tuple[Path, ...],
    output_format: str,
    allow: tuple[str, ...],
    exclude: tuple[str, ...],
    ignore: tuple[str, ...],
    gateway: tuple[str, ...],
    ruff: bool,  # noqa: FBT001 -- a command-line flag
    show_rules: bool,  # noqa: FBT001 -- a command-line flag
) -> None:
    """Find calls to providers that bypass the harness or the gateway, in files and directories.

    Settings are in [tool.tollbook.lint] of pyproject.toml: allow, exclude, ignore, gateways,
    wrappers. A comment lifts a finding: # tollbook: allow TB001 -- reason.

    Exit codes: 0 nothing found, 1 findings, 2 a file could not be read.
    """
    if show_rules:
        _print_rules()
        return
    check_rules(ignore, "--ignore")
    settings, root = read_settings(paths[0] if paths else Path.cwd())
    settings = replace(
        settings,
        allow=settings.allow + allow,
        exclude=settings.exclude + exclude,
        ignore=settings.ignore + ignore,
        gateways=settings.gateways + gateway,
    )
    if ruff:
        click.echo(banned_api(settings), nl=False)
        return
    report = check(paths or (Path(),), settings, root)
    if output_format == "json":
        _write(_as_json(report))
    elif output_format == "sarif":
        _write(sarif(report))
    else:
        _print(report)
    if report.unreadable:
        sys.exit(_UNREADABLE)
    if report.findings:
        sys.exit(_FOUND)


def _write(document: dict[str, Any]) -> None:
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    click.echo(text)


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "findings": [_finding(one) for one in report.findings],
        "files": report.files,
        "unreadable": report.unreadable,
        "allowed": report.allowed,
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "rule": one.rule.id,
        "name": one.rule.name,
        "level": one.rule.level,
        "file": one.path,
        "line": one.line,
        "column": one.column,
        "what": one.what,
        "why": one.rule.why,
        "fix": one.rule.fix,
    }


def _print(report: Report) -> None:
    """Print each place; why and how to mend it after the last place of its rule."""
    for one in report.findings:
        click.echo(f"{one.path}:{one.line}:{one.column}: {one.rule.id} {one.what}")
    seen = sorted({one.rule for one in report.findings})
    for rule in seen:
        click.echo(f"\n{rule.id} {rule.summary}\n  why: {rule.why}\n  fix: {rule.fix}")
    count = len(report.findings)
    allowed = f", {report.allowed} allowed by comments" if report.allowed else ""
    if count:
        click.echo()
    click.echo(
        f"{count or 'no'} finding{'' if count == 1 else 's'} in {report.files}"
        f" file{'' if report.files == 1 else 's'}{allowed}"
    )


def _print_rules() -> None:
    for rule in RULES:
        click.echo(f"{rule.id} {rule.name}\n  {rule.summary}\n  why: {rule.why}\n  fix: {rule.fix}")
