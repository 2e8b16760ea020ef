"""``python -m tollbook`` is the ``tollbook`` command."""

from tollbook.cli.start import main

main()
