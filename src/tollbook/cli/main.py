"""The command ``tollbook``: commands are imported when they are used, errors are one line."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from tollbook import __version__
from tollbook.errors import ToldError, TollbookError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFECT: Final = 1
_NOT_INSTALLED: Final = 2
_INTERRUPTED: Final = 130
"""As a shell has it: 128 and the number of SIGINT."""


class Registered(NamedTuple):
    """Where a command lives; its help is known without importing it."""

    name: str
    module: str
    attribute: str
    summary: str


commands: Final = [
    Registered("up", "tollbook.cli.up", "up", "Run the gateway, the ledger and its API."),
    Registered("demo", "tollbook.cli.demo", "demo", "See it all work against simulated providers."),
    Registered("report", "tollbook.cli.report", "report", "Spend by any dimension; the rollup."),
    Registered("calls", "tollbook.cli.calls", "calls", "List calls, newest first."),
    Registered("tail", "tollbook.cli.calls", "tail", "Follow calls as they are booked."),
    Registered("explain", "tollbook.cli.explain", "explain", "Show why one call cost what it did."),
    Registered("import", "tollbook.cli.imports", "import_", "Import calls from other tools' logs."),
    Registered("verify", "tollbook.cli.verify", "verify", "Recompute the ledger and compare."),
    Registered("prices", "tollbook.cli.prices", "prices", "Show, check and re-apply price cards."),
    Registered("terms", "tollbook.cli.terms", "terms", "Tiers, quotas, minimums, commitments."),
    Registered(
        "statements",
        "tollbook.cli.statements",
        "statements",
        "Providers' statements: import, fetch, list.",
    ),
    Registered(
        "reconcile",
        "tollbook.cli.reconcile",
        "reconcile",
        "Ledger against usage and invoice, with causes.",
    ),
    Registered("allocate", "tollbook.cli.allocate", "allocate", "Spread shared cost by policy."),
    Registered(
        "backtest",
        "tollbook.cli.backtest",
        "backtest",
        "Attribution models against direct attribution.",
    ),
    Registered(
        "close",
        "tollbook.cli.close",
        "close",
        "Periods: steps, approvals, the seal, the trial balance.",
    ),
    Registered("export", "tollbook.cli.export", "export", "FOCUS, journals, tenant statements."),
    Registered(
        "billing",
        "tollbook.cli.billing",
        "billing",
        "What tenants are charged; Stripe, Lago, OpenMeter.",
    ),
    Registered("mcp", "tollbook.cli.mcp", "mcp", "Let assistants ask, over MCP."),
    Registered("sql", "tollbook.cli.sql", "sql", "One SELECT over the ledger."),
    Registered(
        "margin", "tollbook.cli.margin", "margin", "Revenue, gross margin and cost-to-revenue."
    ),
    Registered(
        "budget", "tollbook.cli.budget", "budget", "Limits: set, stop, top up, standing, what-if."
    ),
    Registered("portal", "tollbook.cli.portal", "portal", "Tokens and looks of tenants' portals."),
    Registered("alerts", "tollbook.cli.alerts", "alerts", "Incidents, rules, channels."),
    Registered("keys", "tollbook.cli.keys", "keys", "Create, list and revoke virtual keys."),
    Registered(
        "people", "tollbook.cli.people", "people", "Accounts, API tokens, who did and saw what."
    ),
    Registered(
        "insights",
        "tollbook.cli.insights",
        "insights",
        "Why spend changed, and where it could be less.",
    ),
    Registered(
        "forecast", "tollbook.cli.insights", "forecast", "Spend of days to come, with an interval."
    ),
    Registered("doctor", "tollbook.cli.doctor", "doctor", "Check configuration, files and ports."),
    Registered(
        "audit", "tollbook.cli.audit", "audit", "Where traces lose the tenant, and the fix."
    ),
    Registered("lint", "tollbook.cli.lint", "lint", "Find calls that bypass the harness."),
    Registered("simulate", "tollbook.cli.simulate", "simulate", "Run simulated providers."),
]


class LazyGroup(click.Group):
    """A group whose commands are imported on use, and whose errors are one line on stderr."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that are installed."""
        del ctx
        return [one.name for one in commands if find_spec(one.module) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        found = next(one for one in commands if one.name == cmd_name)
        command = getattr(import_module(found.module), found.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        installed = set(self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(one.name, one.summary) for one in commands if one.name in installed]
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn its errors into one line and an exit code."""
        try:
            return super().invoke(ctx)
        except TollbookError as error:
            if ctx.params["debug"]:
                traceback.print_exc()
            if not isinstance(error, ToldError):
                click.echo(f"tollbook: {error.message}", err=True)
            ctx.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            # The reader of a pipe has gone (head, less): nobody is left to tell. What Python still
            # holds for it must not fail again at exit.
            sys.stdout = None
            ctx.exit(0)
        except ModuleNotFoundError as error:
            if ctx.params["debug"] or (error.name or "").partition(".")[0] == "tollbook":
                raise
            click.echo(
                f"tollbook: this command needs the package {error.name}: "
                "pip install 'tollbook[server]'",
                err=True,
            )
            ctx.exit(_NOT_INSTALLED)
        except Exception as error:
            if ctx.params["debug"]:
                raise
            click.echo(
                f"tollbook: unexpected {type(error).__name__}: {error} "
                "(a defect; tollbook --debug shows where)",
                err=True,
            )
            ctx.exit(_DEFECT)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 -- click's own signature
        **extra: Any,
    ) -> Any:
        """Run the command line; a wrong option is one line too, not click's three."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            click.echo(_usage_line(error), err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(_INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _usage_line(error: click.ClickException) -> str:
    """Return what is wrong with a command line, and where to read how it should be."""
    text = " ".join(error.format_message().split()).rstrip(".?")
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "tollbook"
    return f"tollbook: {text[:1].lower()}{text[1:]}; see {path} --help"


@click.group("tollbook", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tollbook")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
def cli(debug: bool) -> None:  # noqa: FBT001 -- a command-line flag
    """Tell which tenant, user, feature and agent run spent every dollar of the LLM bill.

    Exit codes: 0 done, 1 a check failed, 2 bad input.
    """
    del debug


def main() -> None:
    """Run the command line."""
    cli(prog_name="tollbook")
