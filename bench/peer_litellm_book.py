"""A callback inside LiteLLM's proxy that writes down what it booked; runs in its environment.

One JSON line a call: the case, its tokens and the cost as LiteLLM computed them.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

_case = re.compile(r"case:([a-z0-9-]+)").search


class _Book(CustomLogger):
    def _write(self, kwargs: dict[str, Any], status: str) -> None:
        found = _case(json.dumps([kwargs.get("messages"), kwargs.get("input")], default=str))
        log = kwargs.get("standard_logging_object") or {}
        line = {
            "case": found[1] if found else None,
            "status": status,
            "cost_usd": str(kwargs.get("response_cost") or 0),
            "tokens": (log.get("prompt_tokens") or 0) + (log.get("completion_tokens") or 0),
        }
        with Path(os.environ["PEER_BOOK"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        del response_obj, start_time, end_time
        self._write(kwargs, "success")

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        del response_obj, start_time, end_time
        self._write(kwargs, "failure")


book = _Book()
