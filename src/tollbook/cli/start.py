"""Where ``tollbook`` starts: ``audit`` needs the base install alone, the other commands more.

``pipx run tollbook audit FILE`` must work with nothing but what an application installs, which has
no command-line library. So ``audit`` is reached without one, whether there is one or not.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Final

from tollbook import __version__

_BAD_INPUT: Final = 2
_BASE: Final = (
    "tollbook: only audit works in this install (tollbook audit --help); the other commands need "
    "more packages: pip install 'tollbook[server]'"
)


def main() -> None:
    """Run the command line and exit."""
    arguments = sys.argv[1:]
    debug = arguments[:1] == ["--debug"]
    words = arguments[1:] if debug else arguments
    if words[:1] == ["audit"]:
        from tollbook.audit.command import main as audit  # noqa: PLC0415 -- when it is used

        sys.exit(audit(words[1:], debug=debug))
    if find_spec("click") is not None:
        from tollbook.cli.main import main as run  # noqa: PLC0415 -- may be absent

        run()
        return
    if words == ["--version"]:
        print(f"tollbook, version {__version__}")
        return
    print(_BASE, file=sys.stderr)
    sys.exit(_BAD_INPUT)
