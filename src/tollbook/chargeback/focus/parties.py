"""Who provides, publishes and bills: names and accounts, from settings and well-known ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.config.export import ExportProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.config import Config

UNSTATED_TERMS: Final = "As agreed with the invoice issuer"
"""PaymentTerms may not be null; the settings have better words."""
SERVICE_CATEGORY: Final = "AI and Machine Learning"
SERVICE_SUBCATEGORY: Final = "Generative AI"
_NAMES: Final = {
    "openai": ("OpenAI", "OpenAI API"),
    "anthropic": ("Anthropic", "Claude API"),
    "azure": ("Microsoft", "Azure OpenAI"),
    "bedrock": ("AWS", "Amazon Bedrock"),
    "vertex": ("Google Cloud", "Vertex AI"),
    "gemini": ("Google", "Gemini API"),
    "mistral": ("Mistral AI", "Mistral API"),
    "groq": ("Groq", "GroqCloud"),
    "deepseek": ("DeepSeek", "DeepSeek API"),
    "xai": ("xAI", "xAI API"),
    "openrouter": ("OpenRouter", "OpenRouter API"),
    "together": ("Together AI", "Together Inference"),
    "fireworks": ("Fireworks AI", "Fireworks Inference"),
    "perplexity": ("Perplexity", "Perplexity API"),
    "cerebras": ("Cerebras", "Cerebras Inference"),
    "huggingface": ("Hugging Face", "Inference Providers"),
    "voyage": ("Voyage AI", "Voyage API"),
    "jina": ("Jina AI", "Jina API"),
    "cohere": ("Cohere", "Cohere API"),
}
"""Usual names of providers to the company that bills and its service."""
_DIALECT_NAMES: Final = {"azure": "azure", "bedrock": "bedrock"}
_INTERNAL_SERVICE: Final = "Shared cost"


class Party(NamedTuple):
    """One provider as exports name it."""

    provider: str | None
    """As configured."""
    name: str
    """Who sends the invoice, and provides."""
    publisher: str
    service: str
    account_id: str
    account_name: str
    payment_terms: str
    purchase_order: str | None


class Parties:
    """The providers by configured name.

    Args:
        config: names and accounts, ``[export]``.
        accounts: the account of each provider as its statements say; settings go first.
    """

    def __init__(self, config: Config, accounts: Mapping[str, str] | None = None) -> None:
        self._config, self._accounts = config, accounts or {}
        self._known: dict[str | None, Party] = {}

    @property
    def organization(self) -> str:
        """The company whose ledger it is."""
        return self._config.export.organization

    def of(self, provider: str | None) -> Party:
        """Return a provider; None is the company itself: what no provider billed."""
        found = self._known.get(provider)
        if found is None:
            found = self._known[provider] = self._made(provider)
        return found

    def _made(self, provider: str | None) -> Party:
        if provider is None:
            own = self.organization
            return Party(None, own, own, _INTERNAL_SERVICE, own, own, UNSTATED_TERMS, None)
        said = self._config.export.providers.get(provider, ExportProvider())
        settings = self._config.providers.get(provider)
        usual = _DIALECT_NAMES.get(settings.dialect, provider) if settings else provider
        name, service = _NAMES.get(usual, (provider, provider))
        name = said.display_name or name
        account = said.billing_account_id or self._accounts.get(provider) or provider
        return Party(
            provider=provider,
            name=name,
            publisher=said.publisher_name or name,
            service=said.service_name or service,
            account_id=account,
            account_name=said.billing_account_name or account,
            payment_terms=said.payment_terms or UNSTATED_TERMS,
            purchase_order=said.purchase_order_number,
        )
