from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tollbook.config import Config, ConfigError, load_config
from tollbook.config.schema import default_providers

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: Path, text: str, **environ: str) -> Config:
    file = tmp_path / "t.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, environ)


def refusal(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.message.replace(str(tmp_path / "t.toml"), "FILE")


EU = '[providers.eu]\ndialect = "openai"\nbase_url = "https://eu.example/v1"\n'
CARD = '[[prices]]\nprovider = "openai"\nmodel = "gpt-4o"\neffective_from = "2026-11-01"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gateway]\nport = 70000", "FILE: gateway.port: expected a whole number <= 65535"),
        ('[gateway]\nport = "x"', "FILE: gateway.port: expected a whole number, got text"),
        ("[gateway]\nstrict = 3", "FILE: gateway.strict: expected true or false, got a whole n"),
        ("[gateway]\nheader_timeout_s = 0", "FILE: gateway.header_timeout_s: expected a number >"),
        (
            '[gateway]\nclient_disconnect = "dran"',
            "FILE: gateway.client_disconnect: expected one of abort, drain",
        ),
        (
            '[identity.missing_tenant]\nproduction = "srve"',
            "FILE: identity.missing_tenant.production: expected one of refuse, serve, warn",
        ),
        ("[gatway]", "FILE: gatway: no such setting; did you mean gateway?"),
        ("[gateway]\nprot = 1", "FILE: gateway.prot: no such setting; did you mean port?"),
        (
            '[identity.missing_tenant]\nqa = "serve"',
            "FILE: identity.missing_tenant.qa: no such setting; expected one of development, oth",
        ),
        ("gateway = 3", "FILE: gateway: expected a table, got a whole number"),
        ('[ledger]\nmemory_limit = "4"', "FILE: ledger.memory_limit: expected a size such as 4GB"),
        (
            '[providers.eu]\ndialect = "opnai"\nbase_url = "https://x"',
            "FILE: providers.eu.dialect: expected one of anthropic, azure, bedrock",
        ),
        (
            EU.replace("https://eu", "eu"),
            "FILE: providers.eu.base_url: expected a URL such as https://host/path",
        ),
        (
            '[providers.eu]\ndialect = "openai"',
            "FILE: providers.eu.base_url: is missing; expected a URL such as https://host/path",
        ),
        (
            EU + 'key = "x"',
            "FILE: providers.eu.key: no such setting; expected one of api_key_command",
        ),
        (EU + 'api_key = "x"', "FILE: providers.eu.api_key: no such setting; did you mean api_key"),
        (EU + "max_connections = 0", "FILE: providers.eu.max_connections: expected a whole num"),
        (
            EU + '[providers.us]\ndialect = "openai"\nbase_url = "x"',
            "FILE: providers.us.base_url: expected a URL",
        ),
        (
            EU.replace("providers.eu", 'providers."E U"'),
            "FILE: providers.E U: expected a name of at most 63 lower-case letters, digits, - and",
        ),
        ("[providers]\nopenai = 3", "FILE: providers.openai: expected a table, got a whole numb"),
        ("providers = 3", "FILE: providers: expected a table, got a whole number"),
        (
            CARD + 'input = "dear"',
            "FILE: prices[0] (model gpt-4o).input: expected a decimal number",
        ),
        (CARD + "inptu = 1", "FILE: prices[0] (model gpt-4o).inptu: no such setting; did you mea"),
        (
            CARD + CARD.replace("effective_from", "effective_until"),
            "FILE: prices[1] (model gpt-4o).effective_from: is missing; expected text",
        ),
        ("prices = 3", "FILE: prices: expected a list, got a whole number"),
        ("[[prices]]\nmodel = 3", "FILE: prices[0].model: expected text, got a whole number"),
        ("[gateway\n", "FILE: is not valid TOML: "),
    ],
)
def test_an_error_names_the_file_the_key_and_what_is_expected(
    tmp_path: Path, text: str, message: str
) -> None:
    assert refusal(tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("TOLLBOOK_GATEWAY__PORT", "x", ": gateway.port: expected a whole number, got text"),
        ("TOLLBOOK_GATEWAY__PORT", "0", ": gateway.port: expected a whole number >= 1"),
        ("TOLLBOOK_GATEWAY__PROT", "1", ": gateway.prot: no such setting; did you mean port?"),
        ("TOLLBOOK_GATWAY__PORT", "1", ": gatway: no such setting; did you mean gateway?"),
        ("TOLLBOOK_PROVIDERS__OPENAI__BASE_URL", "x", ": providers.openai.base_url: expected a U"),
        ("TOLLBOOK_PRICES__0__INPUT", "1", ": prices: price cards belong in tollbook.toml"),
        ("TOLLBOOK_GATEWAY__PORT__X", "1", ": gateway.port.x: port is a value, not a section"),
    ],
)
def test_an_error_in_a_variable_names_the_variable(
    tmp_path: Path, variable: str, text: str, message: str
) -> None:
    said = refusal(tmp_path, "[gateway]\nport = 1", **{variable: text})
    assert said.startswith(variable + message)


def test_variables_go_before_the_file(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[gateway]\nport = 1\nhost = "::1"\n[store]\ndir = "here"',
        TOLLBOOK_GATEWAY__PORT="2",
        TOLLBOOK_GATEWAY__STRICT="true",
        TOLLBOOK_GATEWAY__DRAIN_TIMEOUT_S="0.5",
        TOLLBOOK_STORE__DIR="2026",
        TOLLBOOK_IDENTITY__MISSING_TENANT__PRODUCTION="refuse",
        TOLLBOOK_CONFIG="not a setting",
        PATH="/bin",
    )
    assert (config.gateway.port, config.gateway.host) == (2, "::1")
    assert config.gateway.strict is True
    assert config.gateway.drain_timeout_s == 0.5
    assert config.store.dir == "2026"
    assert config.identity.missing_tenant.production == "refuse"


def test_a_provider_can_come_from_the_environment_alone(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "",
        TOLLBOOK_PROVIDERS__EU__DIALECT="openai",
        TOLLBOOK_PROVIDERS__EU__BASE_URL="https://eu.example",
        TOLLBOOK_PROVIDERS__OPENAI__BASE_URL="http://127.0.0.1:1",
    )
    assert config.providers["eu"].base_url == "https://eu.example"
    assert config.providers["openai"].base_url == "http://127.0.0.1:1"
    assert config.providers["openai"].api_key_env == "OPENAI_API_KEY"
    assert config.providers["anthropic"] == default_providers()["anthropic"]


def test_a_named_provider_keeps_the_rest_of_its_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, "[providers.openai]\nmax_connections = 7")
    assert config.providers["openai"].max_connections == 7
    assert config.providers["openai"].base_url == "https://api.openai.com"
    assert set(config.providers) == set(Config().providers)


def test_prices_are_exact_decimals(tmp_path: Path) -> None:
    config = load(tmp_path, CARD + "input = 0.075\noutput = 3\ndiscount_percent = 12.50")
    (card,) = config.prices
    assert (card.input, card.output) == (Decimal("0.075"), Decimal(3))
    assert str(card.discount_percent) == "12.50"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-01", "2026-11-01"),
        ("2026-11-01T10:00:00+01:00", "2026-11-01T10:00:00+01:00"),
        ("2026-11-01T10:00:00", "2026-11-01T10:00:00"),
    ],
)
def test_dates_of_toml_are_accepted_beside_text(tmp_path: Path, written: str, read: str) -> None:
    config = load(tmp_path, CARD.replace('"2026-11-01"', written) + "input = 1")
    assert config.prices[0].effective_from == read


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}) == Config()


def test_the_file_in_the_working_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tollbook.toml").write_text("[gateway]\nport = 99", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}).gateway.port == 99


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.toml", {})


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"x = '\xff'", r"not UTF-8 text \(byte 5\)"), (b"#" * (1024 * 1024 + 1), "is larger than")],
)
def test_unreadable_content_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "t.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_config(file, {})


def test_a_server_without_a_key_is_reached_once_a_section_names_it(tmp_path: Path) -> None:
    assert not {"ollama", "vllm", "vertex"} & set(Config().providers)

    config = load(tmp_path, "[providers.ollama]\n")

    assert config.providers["ollama"].dialect == "ollama"
    assert config.providers["ollama"].base_url == "http://127.0.0.1:11434"
    assert set(config.providers) - set(Config().providers) == {"ollama"}


def test_a_variable_names_a_server_without_a_key_as_a_section_does(tmp_path: Path) -> None:
    for file in (None, tmp_path / "tollbook.toml"):
        if file is not None:
            file.write_text("[gateway]\nport = 9000\n", encoding="utf-8")
        config = load_config(file, {"TOLLBOOK_PROVIDERS__VLLM__BASE_URL": "http://10.0.0.5:8000"})

        assert config.providers["vllm"].dialect == "openai"
        assert config.providers["vllm"].base_url == "http://10.0.0.5:8000"
