"""``tollbook simulate``: the simulated providers alone, to point anything at."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tollbook.simulator.process import main


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9090, show_default=True, help="0 takes a free one.")
@click.option("--log", "log_dir", default=Path("simulator-log"), show_default=True,
              type=click.Path(path_type=Path), help="Directory of the truth log.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Of the faults that are drawn.")
@click.option("--fault", "faults", multiple=True, metavar="SPEC:PER_MILLION",
              help="Draw a fault, such as rate_limit;times=1:20000; repeatable.")  # fmt: skip
def simulate(host: str, port: int, log_dir: Path, seed: int, faults: tuple[str, ...]) -> None:
    """Serve simulated OpenAI (/openai) and Anthropic (/anthropic) until interrupted.

    Keys that begin with sk-sim- are valid. What is received and billed is in the truth log.
    """
    arguments = [f"--host={host}", f"--port={port}", f"--log={log_dir}", f"--seed={seed}"]
    sys.exit(main([*arguments, *(f"--fault={fault}" for fault in faults)]))
