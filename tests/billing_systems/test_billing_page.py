"""The page of billing systems: its commands run, its example is a system."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner
from tests.billing_systems.conftest import KEYS
from tests.billing_systems.fakes import FakeStripe
from tests.periods.finance_kit import finance_world

from tollbook.chargeback.billing.system import read_system
from tollbook.cli.main import cli

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "finance" / "billing-systems.md"


def test_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (body,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert read_system(body, "page").customer_of("acme") == "cus_123"
    now = datetime.now(tz=UTC)
    with finance_world(tmp_path) as world:
        world.charge(now.replace(hour=0, minute=0), 10**9, tenant="acme", tokens=5)
        world.read_up_to(now)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stripe.json").write_text(body, encoding="utf-8")
    (commands,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ tollbook ") for line in commands.splitlines()]
    assert len(lines) == 7
    for line in lines:
        words = [*shlex.split(line), "--data", str(tmp_path), "--format", "json"]
        result = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        json.loads(result.output)


def test_a_push_says_what_needs_attention(tmp_path: Path) -> None:
    fake = FakeStripe()
    body = {
        "type": "stripe", "base_url": fake.url, "api_key_env": "BILLING_KEY", "start": "2026-01-01",
        "customers": {"acme": "cus_1"}, "bucket": "day", "lookback_days": 30,
        "meters": [{"name": "tokens", "measure": "input_tokens"}],
    }  # fmt: skip
    now = datetime.now(tz=UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with finance_world(tmp_path) as world:
        for tenant in ("acme", "nobody-knows-who"):
            yesterday = datetime.fromtimestamp(day.timestamp() - 3600, tz=UTC)
            world.charge(yesterday, 10**9, tenant=tenant, tokens=5)
        world.read_up_to(now)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    place = ["--data", str(tmp_path), "--format", "json"]
    runner = CliRunner()
    words = ["billing", "systems", str(file), "--reason", "x", *place]
    assert runner.invoke(cli, words).exit_code == 0
    pushed = runner.invoke(cli, ["billing", "push", "mine", *place], env=KEYS)
    assert pushed.exit_code == 1
    assert "tollbook: mine: held, refused or uncertain: 1" in pushed.output
    assert fake.sums() == {("tokens", "cus_1"): 5}
    settled = ["billing", "retry", "mine", "--state", "held", "--as", "settled", "--reason", "free"]
    assert runner.invoke(cli, [*settled, *place]).exit_code == 0
    assert runner.invoke(cli, ["billing", "push", "mine", *place], env=KEYS).exit_code == 0
    missing = runner.invoke(cli, ["billing", "push", "mine", *place], env={"BILLING_KEY": ""})
    assert missing.exit_code == 2
    assert "BILLING_KEY is not set" in missing.output
    fake.close()
