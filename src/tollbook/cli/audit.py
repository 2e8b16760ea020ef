"""``tollbook audit``: the auditor's own command line, which also runs without this package."""

from __future__ import annotations

import click

from tollbook.audit.command import main


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def audit(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Find where traces lose whose call it is, what that costs, what to change."""
    debug = bool(context.find_root().params.get("debug"))
    context.exit(main(arguments, debug=debug))
