"""Advice on embeddings, rerankers and retrieval: the calls beside the chat."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_RETRIEVAL: Final = Mode.EMBEDDINGS_RETRIEVAL.value

ADVICE: Final[Book] = {
    (_RETRIEVAL, ""): advice(
        "Set the tenant before the retrieval begins, and in the indexer",
        "The chat's call has the tenant and the embeddings and rerankers before it have not: it is "
        "set too late, or they run in another context.",
        """
        from opentelemetry import baggage, context


        def answer(tenant_id: str, question: str, retrieve, chat):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                documents = retrieve(question)  # embeds and reranks as the tenant
                return chat(question, documents)
            finally:
                context.detach(token)
        """,
        page="sdk/context.md",
        tollbook="""
        import tollbook


        def answer(tenant_id: str, question: str, retrieve, chat):
            with tollbook.tenant(tenant_id):
                with tollbook.retrieval("documents"):
                    documents = retrieve(question)
                return chat(question, documents)
        """,
    ),
    (_RETRIEVAL, "queue"): advice(
        "Name the tenant of each document that the indexer embeds",
        "An indexer works for nobody in particular; whose document it is stands beside it.",
        """
        from opentelemetry import baggage, context


        def index(documents: list, embed) -> None:
            for document in documents:
                owner = baggage.set_baggage("tenant.id", document["tenant_id"])
                token = context.attach(owner)
                try:
                    embed(document)
                finally:
                    context.detach(token)
        """,
        page="sdk/context.md",
        tollbook="""
        import tollbook


        def index(documents: list, embed) -> None:
            for document in documents:
                with tollbook.tenant(document["tenant_id"]), tollbook.origin("system"):
                    embed(document)
        """,
    ),
    (_RETRIEVAL, "thread"): advice(
        "Run retrieval in a copy of the request's context",
        "The chat's call has the tenant, the embeddings before it run in a pool's thread, which "
        "begins with an empty context.",
        """
        import asyncio
        from concurrent.futures import ThreadPoolExecutor
        from contextvars import copy_context


        def submit(pool: ThreadPoolExecutor, embed, texts: list[str]):
            return pool.submit(copy_context().run, embed, texts)


        async def in_thread(embed, texts: list[str]):
            return await asyncio.to_thread(embed, texts)  # copies it; run_in_executor does not
        """,
        page="sdk/threads.md",
        tollbook="""
        from tollbook.sdk.propagation.threads import PropagatingExecutor


        def embed_all(embed, parts: list[list[str]]) -> list:
            with PropagatingExecutor(4) as pool:
                return list(pool.map(embed, parts))
        """,
    ),
    (_RETRIEVAL, "langchain"): advice(
        "Hand the run's config to the retriever, and instrument the embeddings' client",
        "LangChain's embeddings are no runnables: no callback and no metadata reach them, so the "
        "client below has to tell of them, with the tenant from baggage.",
        """
        from opentelemetry import baggage, context
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument()


        def retrieve(retriever, question: str, tenant_id: str):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return retriever.invoke(question, config={"metadata": {"tenant_id": tenant_id}})
            finally:
                context.detach(token)
        """,
        page="sdk/context.md",
    ),
    (_RETRIEVAL, "llamaindex"): advice(
        "Tag retrieval and ingestion with the tenant",
        "Embeddings are made while documents are ingested and while they are looked for; tags "
        "reach both.",
        """
        from llama_index.core.instrumentation.dispatcher import instrument_tags


        def ingest(pipeline, documents: list, tenant_id: str):
            with instrument_tags({"tenant_id": tenant_id}):
                return pipeline.run(documents=documents)


        def query(engine, question: str, tenant_id: str):
            with instrument_tags({"tenant_id": tenant_id}):
                return engine.query(question)
        """,
        page="otlp/openinference.md",
    ),
    (_RETRIEVAL, "openai"): advice(
        "Make the embedding's call in the tenant's context",
        "Embeddings have no metadata at OpenAI; the field user is what they can carry, and the "
        "span takes the tenant from baggage.",
        """
        from openai import OpenAI
        from opentelemetry import baggage, context


        def embed(client: OpenAI, texts: list[str], tenant_id: str):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return client.embeddings.create(
                    model="text-embedding-3-small", input=texts, user=tenant_id
                )
            finally:
                context.detach(token)
        """,
        page="sdk/openai.md",
        tollbook="""
        import openai

        import tollbook

        client = tollbook.wrap(openai.OpenAI())


        def embed(texts: list[str], tenant_id: str):
            with tollbook.tenant(tenant_id):
                return client.embeddings.create(model="text-embedding-3-small", input=texts)
        """,
    ),
    (_RETRIEVAL, "cohere"): advice(
        "Make embedding and reranking calls within the tenant's context",
        "Cohere's calls carry no metadata; the span has to say whose they are.",
        """
        from opentelemetry import baggage, context


        def rerank(client, query: str, documents: list[str], tenant_id: str):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return client.rerank(model="rerank-v3.5", query=query, documents=documents)
            finally:
                context.detach(token)
        """,
        page="sdk/cohere.md",
        tollbook="""
        import cohere

        import tollbook

        client = tollbook.wrap(cohere.ClientV2())
        """,
    ),
    (_RETRIEVAL, "bedrock"): advice(
        "Use an inference profile for each tenant, or name it in the span",
        "InvokeModel takes no request metadata; an application inference profile is tagged once "
        "and shows in AWS's own bill.",
        """
        def profile_of(bedrock, tenant_id: str, model_arn: str) -> str:
            made = bedrock.create_inference_profile(
                inferenceProfileName=f"tenant-{tenant_id}",
                modelSource={"copyFrom": model_arn},
                tags=[{"key": "tenant", "value": tenant_id}],
            )
            return made["inferenceProfileArn"]  # as modelId of invoke_model
        """,
        page="tagging.md",
        tollbook="""
        import boto3

        import tollbook

        client = tollbook.wrap(boto3.client("bedrock-runtime", region_name="us-east-1"))
        """,
    ),
    (_RETRIEVAL, "litellm-proxy"): advice(
        "Send the tenant with embedding and rerank requests too",
        "Metadata of the chat's request says nothing of the others: each request names it.",
        """
        from openai import OpenAI


        def embed(client: OpenAI, texts: list[str], tenant_id: str):
            return client.embeddings.create(
                model="text-embedding-3-small",
                input=texts,
                extra_body={"metadata": {"tags": [f"tenant:{tenant_id}"]}},
            )
        """,
        page="otlp/litellm.md",
    ),
    (_RETRIEVAL, "vercel-ai"): advice(
        "Turn on telemetry for embed and rerank, with the tenant",
        "Telemetry is set for each call; those of the chat say nothing of the embeddings.",
        """
        await embedMany({
          model,
          values,
          experimental_telemetry: { isEnabled: true, metadata: { tenantId } },
        });
        """,
        "text",
        page="otlp/vercel.md",
    ),
}
