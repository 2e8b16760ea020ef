"""``[batch]``: what is wrong with it is one line that names the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tollbook.config import load_config
from tollbook.errors import TollbookError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("custom_id_pattern = '('", "custom_id_pattern is no regular expression"),
        ("custom_id_pattern = 'x+'", "custom_id_pattern has no named group"),
        ("poll_interval_s = 0", "batch.poll_interval_s"),
        ("fetches = true", "fetches"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "tollbook.toml"
    path.write_text(f"[batch]\n{text}\n")
    with pytest.raises(TollbookError, match=problem) as caught:
        load_config(path, {})
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_it_can_be_set_by_variables(tmp_path: Path) -> None:
    path = tmp_path / "tollbook.toml"
    path.write_text("")
    config = load_config(path, {"TOLLBOOK_BATCH__FETCH": "true",
                                "TOLLBOOK_BATCH__SETTLE_AFTER_H": "24"})  # fmt: skip
    assert config.batch.fetch
    assert config.batch.settle_after_h == 24
