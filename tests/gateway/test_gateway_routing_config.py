"""Routes in tollbook.toml: what is refused, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tollbook.config import load_config
from tollbook.config.problems import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ROUTE = '[routes.chat]\nmodels = ["gpt-*"]\n'
SPEAKS_OPENAI = 'dialect = "openai"\nbase_url = "http://x"'
ONE = 'targets = [{provider = "openai"}]\n'


def test_a_whole_route(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(
        ROUTE
        + """
strategy = "weighted"
sticky_by = "tenant"
retries = 1
retry_on = ["connect", "timeout", 429]
fallbacks = [{ provider = "groq", model = "llama", prefix = "" }]
[[routes.chat.targets]]
provider = "openai"
weight = 0.5
first_byte_timeout_s = 20
[routes.chat.breaker]
failures = 3
[providers.groq]
dialect = "openai"
base_url = "https://api.groq.com/openai"
"""
    )
    route = load_config(file, {"TOLLBOOK_ROUTES__CHAT__RETRIES": "4"}).routes["chat"]
    assert (route.retries, route.retry_on) == (4, ["connect", "timeout", 429])
    assert (route.targets[0].weight, route.targets[0].first_byte_timeout_s) == (0.5, 20.0)
    assert (route.fallbacks[0].model, route.fallbacks[0].prefix) == ("llama", "")
    assert (route.breaker.failures, route.breaker.open_s) == (3, 15.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ROUTE + 'targets = [{provider = "nope"}]',
         "routes.chat.targets[0].provider: no provider 'nope'"),
        (ROUTE + ONE + 'fallbacks = [{provider = "x"}]', "routes.chat.fallbacks[0].provider: no"),
        (ROUTE + 'targets = [{provider = "openai"}, {provider = "anthropic"}]',
         "routes.chat.targets[1].provider: anthropic speaks anthropic, the route speaks openai"),
        (ROUTE + ONE + 'dialect = "anthropic"', "routes.chat.targets[0].provider: openai speaks"),
        (ROUTE + 'targets = [{provider = "openai", weight = 0}]',
         "routes.chat.targets[0].weight: expected a number above 0"),
        (ROUTE + 'targets = [{provider = "openai", weight = nan}]', "routes.chat.targets[0]."),
        (ROUTE + 'targets = [{provider = "openai", weight = inf}]', "routes.chat.targets[0]."),
        (ROUTE + "targets = []", "routes.chat.targets: expected a list of at least one target"),
        ("[routes.chat]\nmodels = []\n" + ONE, "routes.chat.models: expected a list of model"),
        (ROUTE, "routes.chat.targets: is missing"),
        (ROUTE + ONE + 'strategy = "best"', "routes.chat.strategy: expected one of"),
        (ROUTE + ONE + "retrys = 1", "routes.chat.retrys: no such setting; did you mean retries?"),
        (ROUTE + ONE + "retries = 11", "routes.chat.retries: expected a whole number from 0 to 10"),
        (ROUTE + ONE + 'retry_on = ["often"]', "routes.chat.retry_on[0]: expected one of connect"),
        (ROUTE + ONE + "retry_on = [200]", "routes.chat.retry_on[0]: expected"),
        (ROUTE + ONE + 'strategy = "cost"\nsticky_by = "key"', "routes.chat.sticky_by: goes with"),
        (ROUTE + ONE + "backoff_base_s = 9", "routes.chat.backoff_max_s: is less than"),
        (ROUTE + 'targets = [{provider = "openai"}, {provider = "openai"}]',
         "routes.chat.targets[1]: stands in this route already"),
        (ROUTE + 'targets = [{provider = "openai", prefix = "v1"}]',
         "routes.chat.targets[0].prefix: expected a path such as /v1"),
        ("[providers.v1]\n" + SPEAKS_OPENAI,
         "providers.v1: /v1/ is the router's own prefix"),
        ("[providers.openai]\ndefault = true\n[providers.b]\ndefault = true\n" + SPEAKS_OPENAI,
         "providers.b.default: openai is the default of dialect openai"),
        ("[providers.openai]\nretries = -1", "providers.openai.retries: expected a whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert caught.value.message.startswith(f"{file}: {said}")
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
