"""How the house of the accuracy cases is set up: providers that all lead to one script."""

from __future__ import annotations

_SETTINGS = """
[gateway]
port = {gateway}
shutdown_timeout_s = 20
drain_timeout_s = 3.0
[console]
port = {console}
[receiver]
enabled = false
[ledger]
poll_interval_s = 0.1
[providers.fake]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
api_key_env = "SIM_KEY"
list_prices = "openai"
[providers.cheap]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
[providers.abort]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
client_disconnect = "abort"
[providers.plain]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
inject_stream_usage = false
[providers.slow]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
idle_timeout_s = 1.0
[providers.grok]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
list_prices = "x-ai"
[providers.claude]
dialect = "anthropic"
base_url = "http://127.0.0.1:{port}"
list_prices = "anthropic"
[providers.claudeabort]
dialect = "anthropic"
base_url = "http://127.0.0.1:{port}"
list_prices = "anthropic"
client_disconnect = "abort"
[providers.gem]
dialect = "gemini"
base_url = "http://127.0.0.1:{port}"
list_prices = "google"
[providers.co]
dialect = "cohere"
base_url = "http://127.0.0.1:{port}"
list_prices = "cohere"
[providers.voy]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
list_prices = "voyageai"
[providers.router]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
list_prices = "openrouter"
reported_cost = "use"
[providers.bed]
dialect = "bedrock"
base_url = "http://127.0.0.1:{port}"
list_prices = "aws"
auth = "key"
api_key_env = "SIM_KEY"
[providers.anthro]
dialect = "anthropic"
base_url = "http://127.0.0.1:{port}"
list_prices = "anthropic"
[providers.oai]
dialect = "openai"
base_url = "http://127.0.0.1:{port}"
list_prices = "openai"
"""
_OWN_CARD = """
[[prices]]
provider = "{provider}"
model = "m-*"
effective_from = "2026-01-01"
input = 2
cache_read = 0.5
cache_write_5m = 3
cache_write_1h = 4
input_audio = 40
output = 10
output_audio = 80
"""
_MORE_CARDS = """
[[prices]]
provider = "cheap"
model = "gpt-4o"
effective_from = "2026-01-01"
input = 1
output = 1
[[prices]]
provider = "fake"
model = "zero-*"
effective_from = "2026-01-01"
input = 0
output = 0
[[prices]]
provider = "fake"
model = "onlyin-*"
effective_from = "2026-01-01"
input = 5
[[prices]]
provider = "fake"
model = "nocache-*"
effective_from = "2026-01-01"
input = 2
output = 10
[[prices]]
provider = "fake"
model = "模型-*"
effective_from = "2026-01-01"
input = 2
output = 10
"""
_OWN = ("fake", "abort", "plain", "slow", "claude", "claudeabort")


def settings_for(gateway: int, console: int, port: int) -> str:
    """Return tollbook.toml for the ports of the gateway, the console and the scripted provider."""
    return (
        _SETTINGS.format(gateway=gateway, console=console, port=port)
        + "".join(_OWN_CARD.format(provider=name) for name in _OWN)
        + _MORE_CARDS
    )
