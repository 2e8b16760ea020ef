"""Advice on gateways and keys: one key for all tells nobody apart."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_KEY: Final = Mode.SINGLE_KEY.value
_BATCH: Final = Mode.BATCH_METADATA.value

ADVICE: Final[Book] = {
    (_KEY, ""): advice(
        "Name the tenant in every request to the gateway",
        "All calls share one key, so neither the gateway nor the provider can tell whose they are. "
        "Baggage says it per request; a key of its own says it for each tenant.",
        """
        import httpx
        from opentelemetry import propagate


        def add_context(request: httpx.Request) -> None:
            propagate.inject(request.headers)  # with OTEL_PROPAGATORS=tracecontext,baggage


        client = httpx.Client(event_hooks={"request": [add_context]})
        """,
        page="identity.md",
        tollbook="""
        # a virtual key that is bound to its tenant, or one for the backend that names the tenant
        tollbook keys create acme-backend --tenant acme
        """,
        tollbook_language="bash",
    ),
    (_KEY, "litellm-proxy"): advice(
        "Name the tenant in each request's metadata, or give each tenant a key",
        "Spend logs are by key, team and tag: with one key and no tags there is one owner.",
        """
        from openai import OpenAI


        def ask(client: OpenAI, model: str, messages: list, tenant_id: str):
            return client.chat.completions.create(
                model=model,
                messages=messages,
                extra_body={"metadata": {"tags": [f"tenant:{tenant_id}"]}},
            )
        """,
        page="otlp/litellm.md",
        tollbook="""
        tollbook keys create acme-backend --tenant acme
        """,
        tollbook_language="bash",
    ),
    (_KEY, "portkey"): advice(
        "Send x-portkey-metadata with every request",
        "Portkey groups cost by metadata; a request without it belongs to the key alone.",
        """
        import json

        from openai import OpenAI


        def client_of(client: OpenAI, tenant_id: str, user_id: str) -> OpenAI:
            told = json.dumps({"tenant_id": tenant_id, "_user": user_id})
            return client.with_options(default_headers={"x-portkey-metadata": told})
        """,
        page="identity.md",
    ),
    (_KEY, "helicone"): advice(
        "Send Helicone-Property-Tenant with every request",
        "Helicone groups cost by properties and by Helicone-User-Id.",
        """
        from openai import OpenAI


        def client_of(client: OpenAI, tenant_id: str, user_id: str) -> OpenAI:
            return client.with_options(
                default_headers={
                    "Helicone-Property-Tenant": tenant_id,
                    "Helicone-User-Id": user_id,
                }
            )
        """,
        page="identity.md",
    ),
    (_KEY, "openrouter"): advice(
        "Send user with every request",
        "OpenRouter's activity names the key and the field user, nothing else of yours.",
        """
        from openai import OpenAI


        def ask(client: OpenAI, model: str, messages: list, tenant_id: str):
            return client.chat.completions.create(model=model, messages=messages, user=tenant_id)
        """,
        page="imports.md",
    ),
    (_KEY, "openai"): advice(
        "Name the tenant on the span, and give each environment a project and a key",
        "OpenAI's bill is by project and key; who used one of them only your own telemetry can "
        "tell.",
        """
        from openai import OpenAI
        from opentelemetry import baggage, context


        def ask(client: OpenAI, model: str, messages: list, tenant_id: str):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return client.chat.completions.create(
                    model=model, messages=messages, safety_identifier=tenant_id
                )
            finally:
                context.detach(token)
        """,
        page="sdk/openai.md",
        tollbook="""
        import openai

        import tollbook

        client = tollbook.wrap(openai.OpenAI())


        def ask(model: str, messages: list, tenant_id: str):
            with tollbook.tenant(tenant_id):
                return client.chat.completions.create(model=model, messages=messages)
        """,
    ),
    (_KEY, "anthropic"): advice(
        "Name the tenant on the span; a workspace and a key for each product",
        "Anthropic's bill is by workspace and key. metadata.user_id is for misuse, an opaque id.",
        """
        from anthropic import Anthropic
        from opentelemetry import baggage, context


        def ask(client: Anthropic, tenant_id: str, **arguments):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return client.messages.create(metadata={"user_id": tenant_id}, **arguments)
            finally:
                context.detach(token)
        """,
        page="sdk/anthropic.md",
        tollbook="""
        import anthropic

        import tollbook

        client = tollbook.wrap(anthropic.Anthropic())
        """,
    ),
    (_KEY, "bedrock"): advice(
        "Send requestMetadata with every Converse call",
        "It is written to the invocation logs, which AWS's bill is compared with.",
        """
        def ask(client, model_id: str, messages: list, tenant_id: str):
            return client.converse(
                modelId=model_id, messages=messages, requestMetadata={"tenant": tenant_id}
            )
        """,
        page="tagging.md",
        tollbook="""
        import boto3

        import tollbook

        client = tollbook.wrap(boto3.client("bedrock-runtime", region_name="us-east-1"))
        """,
    ),
    (_KEY, "vercel-ai"): advice(
        "Hand the tenant to telemetry and to the gateway in every call",
        "Metadata goes to the span, the header to the gateway.",
        """
        await streamText({
          model,
          messages,
          headers: { baggage: `tenant.id=${encodeURIComponent(tenantId)}` },
          experimental_telemetry: { isEnabled: true, metadata: { tenantId } },
        });
        """,
        "text",
        page="otlp/vercel.md",
    ),
    (_BATCH, ""): advice(
        "Write the tenant into each line's custom_id and into the batch's metadata",
        "Results come hours later, often to another program: only what stands in the file says "
        "whose line it is.",
        """
        from openai import OpenAI


        def line(tenant_id: str, number: int, body: dict) -> dict:
            custom_id = f"{tenant_id}:{number}"
            return {
                "custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions",
                "body": body,
            }


        def submit(client: OpenAI, file_id: str, tenant_id: str):
            return client.batches.create(
                input_file_id=file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"tenant_id": tenant_id},
            )
        """,
        page="batch.md",
        tollbook="""
        # tollbook.toml
        [batch]
        custom_id_pattern = '(?P<tenant>[^:]+):.*'
        """,
        tollbook_language="toml",
    ),
    (_BATCH, "anthropic"): advice(
        "Write the tenant into each request's custom_id",
        "Anthropic's batches have no metadata of their own; custom_id comes back with each result.",
        """
        from anthropic import Anthropic


        def submit(client: Anthropic, work: list[tuple[str, dict]]):
            return client.messages.batches.create(
                requests=[
                    {"custom_id": f"{tenant_id}-{number}", "params": params}
                    for number, (tenant_id, params) in enumerate(work)
                ]
            )
        """,
        page="batch.md",
        tollbook="""
        # tollbook.toml
        [batch]
        custom_id_pattern = '(?P<tenant>[^-]+)-.*'
        """,
        tollbook_language="toml",
    ),
    (_BATCH, "bedrock"): advice(
        "Make one job for each tenant, and tag it",
        "A batch job is one line of AWS's bill, and its tags are what the bill is split by.",
        """
        def submit(bedrock, tenant_id: str, **arguments):
            return bedrock.create_model_invocation_job(
                jobName=f"tenant-{tenant_id}",
                tags=[{"key": "tenant", "value": tenant_id}],
                **arguments,
            )
        """,
        page="batch.md",
    ),
}
