"""Names that the rules know: clients, frameworks, hosts, the harness itself."""

from __future__ import annotations

import re
from typing import Final


def _of(package: str, *names: str) -> set[str]:
    return {f"{package}.{name}" for name in names}


CLIENTS: Final = frozenset(
    _of(
        "openai", "OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI", "Client",
        "AsyncClient",
    )
    | _of(
        "anthropic", "Anthropic", "AsyncAnthropic", "AnthropicBedrock", "AsyncAnthropicBedrock",
        "AnthropicVertex", "AsyncAnthropicVertex", "AnthropicFoundry", "AsyncAnthropicFoundry",
        "Client", "AsyncClient",
    )
    | _of("google.genai", "Client", "client.Client")
    | _of("google.generativeai", "GenerativeModel")
    | _of("vertexai.generative_models", "GenerativeModel")
    | _of("vertexai.preview.generative_models", "GenerativeModel")
    | _of(
        "cohere", "Client", "ClientV2", "AsyncClient", "AsyncClientV2", "BedrockClient",
        "SagemakerClient",
    )
    | _of("mistralai", "Mistral", "client.MistralClient", "async_client.MistralAsyncClient")
    | _of("mistralai.client", "Mistral", "MistralClient")
    | _of("groq", "Groq", "AsyncGroq")
    | _of("together", "Together", "AsyncTogether")
    | _of("voyageai", "Client", "AsyncClient")
    | _of("fireworks.client", "Fireworks", "AsyncFireworks")
    | _of("cerebras.cloud.sdk", "Cerebras", "AsyncCerebras")
    | _of("ollama", "Client", "AsyncClient")
    | _of("huggingface_hub", "InferenceClient", "AsyncInferenceClient")
    | _of("xai_sdk", "Client", "AsyncClient")
    | _of("replicate", "Client")
)  # fmt: skip
"""Classes whose instances send requests to a provider."""

LITELLM: Final = frozenset(
    _of(
        "litellm", "completion", "acompletion", "text_completion", "atext_completion", "embedding",
        "aembedding", "rerank", "arerank", "responses", "aresponses", "image_generation",
        "aimage_generation", "transcription", "atranscription", "speech", "aspeech", "moderation",
        "amoderation", "completion_with_retries", "batch_completion", "anthropic_messages",
    )
)  # fmt: skip
LITELLM_CLIENTS: Final = frozenset(_of("litellm", "Router", "router.Router"))

_MODULE_CALLS: Final = re.compile(
    r"openai\.(chat|completions|embeddings|responses|images|audio|moderations|batches|files"
    r"|ChatCompletion|Completion|Embedding|Image)\."
    r"|replicate\.(run|stream|async_run)$"
    r"|ollama\.(chat|generate|embed|embeddings)$"
    r"|google\.generativeai\.(generate_text|embed_content)$"
)


def is_module_call(name: str) -> bool:
    """Whether a qualified name is called on a client that a package keeps for itself."""
    return _MODULE_CALLS.match(name) is not None


BOTO_SERVICES: Final = frozenset(["bedrock-runtime", "bedrock-agent-runtime"])

FRAMEWORKS: Final = frozenset(
    _of("langchain_openai", "ChatOpenAI", "AzureChatOpenAI", "OpenAI", "AzureOpenAI",
        "OpenAIEmbeddings", "AzureOpenAIEmbeddings")
    | _of("langchain_anthropic", "ChatAnthropic", "AnthropicLLM", "ChatAnthropicMessages")
    | _of("langchain_google_genai", "ChatGoogleGenerativeAI", "GoogleGenerativeAIEmbeddings")
    | _of("langchain_google_vertexai", "ChatVertexAI", "VertexAI", "VertexAIEmbeddings")
    | _of("langchain_aws", "ChatBedrock", "ChatBedrockConverse", "BedrockLLM", "BedrockEmbeddings")
    | _of("langchain_cohere", "ChatCohere", "CohereEmbeddings", "CohereRerank")
    | _of("langchain_mistralai", "ChatMistralAI", "MistralAIEmbeddings")
    | _of("langchain_groq", "ChatGroq")
    | _of("langchain_ollama", "ChatOllama", "OllamaLLM", "OllamaEmbeddings")
    | _of("langchain_litellm", "ChatLiteLLM")
    | _of("langchain_community.chat_models", "ChatOpenAI", "ChatAnthropic", "ChatLiteLLM",
          "BedrockChat")
    | _of("langchain_community.llms", "OpenAI", "Bedrock")
    | _of("langchain.chat_models", "init_chat_model", "ChatOpenAI", "ChatAnthropic")
    | _of("langchain.embeddings", "init_embeddings")
    | _of("llama_index.llms.openai", "OpenAI", "OpenAIResponses")
    | _of("llama_index.llms.azure_openai", "AzureOpenAI")
    | _of("llama_index.llms.openai_like", "OpenAILike")
    | _of("llama_index.llms.anthropic", "Anthropic")
    | _of("llama_index.llms.google_genai", "GoogleGenAI")
    | _of("llama_index.llms.bedrock_converse", "BedrockConverse")
    | _of("llama_index.llms.cohere", "Cohere")
    | _of("llama_index.llms.mistralai", "MistralAI")
    | _of("llama_index.llms.groq", "Groq")
    | _of("llama_index.llms.litellm", "LiteLLM")
    | _of("llama_index.embeddings.openai", "OpenAIEmbedding")
    | _of("llama_index.embeddings.cohere", "CohereEmbedding")
    | _of("llama_index.postprocessor.cohere_rerank", "CohereRerank")
    | _of("pydantic_ai.models.openai", "OpenAIModel", "OpenAIChatModel", "OpenAIResponsesModel")
    | _of("pydantic_ai.models.anthropic", "AnthropicModel")
    | _of("pydantic_ai.models.google", "GoogleModel")
    | _of("pydantic_ai.models.gemini", "GeminiModel")
    | _of("pydantic_ai.models.bedrock", "BedrockConverseModel")
    | _of("pydantic_ai.models.cohere", "CohereModel")
    | _of("pydantic_ai.models.mistral", "MistralModel")
    | _of("pydantic_ai.models.groq", "GroqModel")
    | _of("dspy", "LM")
    | _of("crewai", "LLM")
)  # fmt: skip
"""Classes and functions that make a client of their own unless they are given one."""
NAMED_MODELS: Final = frozenset(_of("pydantic_ai", "Agent", "agent.Agent"))
"""What takes a model by its name: ``Agent("openai:gpt-4o")``."""
MODEL_NAME: Final = re.compile(r"[a-z][a-z0-9-]*:\S+")

URL_ARGUMENTS: Final = frozenset(
    ["base_url", "api_base", "openai_api_base", "anthropic_api_url", "endpoint_url",
     "azure_endpoint", "server_url", "api_url", "base_uri"]
)  # fmt: skip
URL_VARIABLES: Final = re.compile(r"[A-Z0-9_]*(BASE_URL|API_BASE|API_URL|ENDPOINT(_URL)?)")

HOSTS: Final = re.compile(
    r"https?://(?:[a-z0-9.-]+@)?(?:"
    r"api\.openai\.com|[a-z]{2}\.api\.openai\.com|api\.anthropic\.com"
    r"|generativelanguage\.googleapis\.com|[a-z0-9-]*-?aiplatform\.googleapis\.com"
    r"|[a-z0-9-]+\.openai\.azure\.com|[a-z0-9-]+\.services\.ai\.azure\.com"
    r"|bedrock(?:-agent)?-runtime[a-z0-9.-]*\.amazonaws\.com"
    r"|api\.cohere\.(?:com|ai)|api\.mistral\.ai|api\.groq\.com|api\.deepseek\.com|api\.x\.ai"
    r"|openrouter\.ai|api\.together\.(?:ai|xyz)|api\.fireworks\.ai|api\.perplexity\.ai"
    r"|api\.cerebras\.ai|router\.huggingface\.co|api-inference\.huggingface\.co"
    r"|api\.voyageai\.com|api\.jina\.ai|api\.moonshot\.(?:ai|cn)|api\.replicate\.com"
    r"|integrate\.api\.nvidia\.com|api\.ai21\.com|dashscope(?:-intl)?\.aliyuncs\.com"
    r")(?=[/:?#]|$)",
    re.IGNORECASE,
)
"""Addresses of providers, at the beginning of a URL."""
BARE_HOSTS: Final = re.compile(HOSTS.pattern.removeprefix("https?://"), re.IGNORECASE)

HTTP_PACKAGES: Final = (
    "requests.", "httpx.", "httpx2.", "aiohttp.", "urllib.", "urllib3.", "http.client.", "pycurl.",
    "niquests.", "tornado.httpclient.",
)  # fmt: skip
HTTP_METHODS: Final = frozenset(
    ["get", "post", "put", "patch", "delete", "request", "stream", "send", "urlopen", "ws_connect",
     "build_request", "fetch", "options", "head"]
)  # fmt: skip
HTTP_CLIENTS: Final = frozenset(
    _of("httpx", "Client", "AsyncClient") | _of("httpx2", "Client", "AsyncClient")
)
"""Plain clients that can be wrapped themselves."""

WRAP: Final = frozenset(["tollbook.wrap", "tollbook.sdk.wrap", "tollbook.sdk.harness.wrap"])
WRAP_LITELLM: Final = frozenset(f"{one}_litellm" for one in WRAP)
SCOPES: Final = frozenset(
    f"{package}.{name}"
    for package in ("tollbook", "tollbook.sdk", "tollbook.sdk.context")
    for name in (
        "agent_run", "environment", "feature", "origin", "request", "retrieval", "scope", "step",
        "tenant", "tool", "use", "user", "workflow",
    )
) | _of("tollbook.sdk.propagation", "use_carrier", "from_payload")  # fmt: skip
CONTEXT_MANAGERS: Final = frozenset(
    _of("contextlib", "contextmanager", "asynccontextmanager")
    | _of("pytest", "fixture")
    | _of("pytest_asyncio", "fixture")
)
"""Decorators of generators whose one yield runs in the context of who enters them."""

EXECUTORS: Final = frozenset(
    _of("concurrent.futures", "ThreadPoolExecutor", "ProcessPoolExecutor")
    | _of("concurrent.futures.thread", "ThreadPoolExecutor")
    | _of("concurrent.futures.process", "ProcessPoolExecutor")
    | _of("multiprocessing", "Pool", "pool.Pool", "pool.ThreadPool")
)
THREADS: Final = frozenset(
    _of("threading", "Thread", "Timer")
    | _of("multiprocessing", "Process")
    | _of("_thread", "start_new_thread")
)  # fmt: skip
HANDOVERS: Final = frozenset(
    ["submit", "map", "apply", "apply_async", "map_async", "imap", "imap_unordered", "starmap",
     "starmap_async"]
)  # fmt: skip
CARRIERS: Final = frozenset(
    f"{package}.{name}"
    for package in ("tollbook.sdk.propagation", "tollbook.sdk.propagation.threads")
    for name in ("run_in_context", "carried")
)
INSTRUMENTS_THREADS: Final = frozenset(
    f"{package}.instrument_threads"
    for package in ("tollbook.sdk.propagation", "tollbook.sdk.propagation.threads")
)
