"""The official FOCUS validator: ``focus_official.py CRITERIA FILE [CRITERIA FILE]...``.

Prints as JSON, for each pair in order, how many rules were held and the ids of those that failed.
Run with ``.clients/focus312``; nothing is fetched.
"""

import contextlib
import io
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

import focus_validator  # type: ignore[import-not-found]
from focus_validator.validator import Validator  # type: ignore[import-not-found]

logging.disable(logging.CRITICAL)
given = sys.argv[1:]
pairs = [(given[at], Path(given[at + 1]).resolve()) for at in range(0, len(given), 2)]
# It opens its list of currencies relative to the working directory.
os.chdir(Path(focus_validator.__file__).parent.parent)
found = []
for criteria, path in pairs:
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        results = Validator(
            data_filename=str(path), output_type="unittest",
            output_destination=str(Path(scratch) / "results.xml"), rules_version="1.2.0.1",
            focus_dataset="CostAndUsage", rules_block_remote_download=True,
            applicability_criteria=criteria or None,
        ).validate()  # fmt: skip
    failed = sorted(rule for rule, result in results.by_rule_id.items() if not result["ok"])
    found.append({"failed": failed, "rules": len(results.by_rule_id)})
print(json.dumps(found))
