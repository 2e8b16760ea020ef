"""``python -m tollbook`` is the ``tollbook`` command."""

import sys

from tollbook.cli.main import main

sys.exit(main())
