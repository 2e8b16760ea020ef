"""Advice on streams: usage that is asked for, comes last, and has to reach the right span."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_STREAMING: Final = Mode.STREAMING.value

_OPENAI: Final = advice(
    "Ask for usage in the stream",
    "OpenAI's chat streams carry usage only where they are asked to, in one chunk after the last.",
    """
    from openai import OpenAI


    def stream(client: OpenAI, model: str, messages: list):
        return client.chat.completions.create(
            model=model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
    """,
    page="sdk/openai.md",
    tollbook="""
    import openai

    import tollbook

    client = tollbook.wrap(openai.OpenAI())  # asks, and hides the chunk from who did not
    """,
)

_OWNER: Final = "streaming-owner"

ADVICE: Final[Book] = {
    (_OWNER, ""): advice(
        "Make the call in the request's context, and let each read of the stream have it",
        "A generator's body runs where it is iterated, not where it was made: by then the request "
        "is over and its context left.",
        """
        from contextvars import copy_context


        def in_context(make):
            context = copy_context()  # of the request, with its tenant

            def parts():
                iterator = context.run(lambda: iter(make()))  # the call is made in here
                while True:
                    try:
                        part = context.run(next, iterator)
                    except StopIteration:
                        return
                    yield part

            return parts()  # StreamingResponse(in_context(lambda: answer(question)))
        """,
        page="sdk/context.md",
        tollbook="""
        import tollbook


        def stream_as(tenant_id: str, make):
            @tollbook.tenant(tenant_id)  # a generator's body has a context of its own
            def parts():
                yield from make()

            return parts()
        """,
    ),
    (_OWNER, "fastapi"): advice(
        "Set the tenant in a middleware around the application, not in a dependency",
        "A StreamingResponse is read after the endpoint and its dependencies have returned; what "
        "wraps the whole application is still there.",
        """
        from opentelemetry import baggage, context


        class TenantMiddleware:
            def __init__(self, app, tenant_of):
                self.app, self.tenant_of = app, tenant_of

            async def __call__(self, scope, receive, send):
                owner = baggage.set_baggage("tenant.id", self.tenant_of(scope))
                token = context.attach(owner)
                try:
                    await self.app(scope, receive, send)  # until the last part is sent
                finally:
                    context.detach(token)
        """,
        page="sdk/fastapi.md",
        tollbook="""
        from fastapi import FastAPI

        from tollbook.sdk.middleware.fastapi import TollbookMiddleware

        app = FastAPI()
        app.add_middleware(TollbookMiddleware, tenant_of=lambda request: request.state.tenant)
        """,
    ),
    (_OWNER, "flask"): advice(
        "Stream with the request's context",
        "Flask leaves the request before the body is iterated, unless it is told to keep it.",
        """
        from contextvars import copy_context

        from flask import Response, stream_with_context


        def stream(make):
            context = copy_context()
            iterator = context.run(lambda: iter(make()))
            parts = iter(lambda: context.run(next, iterator, None), None)
            return Response(stream_with_context(parts))
        """,
        page="sdk/flask.md",
        tollbook="""
        from flask import Flask, g

        from tollbook.sdk.middleware.flask import Tollbook

        app = Flask(__name__)
        Tollbook(app, tenant_of=lambda request: g.get("tenant"))  # carries streamed bodies
        """,
    ),
    (_STREAMING, ""): advice(
        "End the span when the stream ends, with the usage that came last",
        "A span that ends when the call returns has no usage, and the usage that comes with the "
        "last chunk is written to another span or to none.",
        """
        from opentelemetry import trace


        def traced(stream, span: trace.Span, usage_of):
            usage = None  # the span was begun by hand: tracer.start_span("chat"), with the tenant
            try:
                for chunk in stream:
                    usage = usage_of(chunk) or usage
                    yield chunk
            finally:
                if usage is not None:
                    span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
                    span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
                span.end()
        """,
        page="sdk/context.md",
        tollbook="""
        import openai

        import tollbook

        client = tollbook.wrap(openai.OpenAI())  # a stream is booked when it ends, to its caller
        """,
    ),
    (_STREAMING, "openai"): _OPENAI,
    (_STREAMING, "azure"): _OPENAI,
    (_STREAMING, "anthropic"): advice(
        "Read the stream to its end, or close it knowingly",
        "Anthropic tells of output tokens in message_delta, the last event but one: a reader that "
        "stops before it has the input alone.",
        """
        from anthropic import Anthropic


        def stream(client: Anthropic, **arguments):
            with client.messages.stream(**arguments) as answer:
                yield from answer.text_stream
                usage = answer.get_final_message().usage
                print(usage.input_tokens, usage.output_tokens)
        """,
        page="sdk/anthropic.md",
        tollbook="""
        import anthropic

        import tollbook

        client = tollbook.wrap(anthropic.Anthropic())
        """,
    ),
    (_STREAMING, "litellm-proxy"): advice(
        "Let the proxy ask for usage in every stream",
        "It asks only where the caller does, unless it is told to ask always.",
        """
        general_settings:
          always_include_stream_usage: true
        """,
        "yaml",
        page="otlp/litellm.md",
    ),
    (_STREAMING, "litellm"): advice(
        "Ask for usage in the stream",
        "LiteLLM passes on what it is asked for, to each provider in its own words.",
        """
        import litellm


        def stream(model: str, messages: list):
            return litellm.completion(
                model=model, messages=messages, stream=True, stream_options={"include_usage": True}
            )
        """,
        page="sdk/litellm.md",
        tollbook="""
        import tollbook

        tollbook.wrap_litellm()
        """,
    ),
    (_STREAMING, "langchain"): advice(
        "Turn on stream_usage",
        "LangChain asks for usage by itself only of OpenAI's own address, not behind a base_url.",
        """
        from langchain_openai import ChatOpenAI

        model = ChatOpenAI(model="gpt-4o-mini", stream_usage=True)
        """,
        page="otlp/openllmetry.md",
    ),
    (_STREAMING, "llamaindex"): advice(
        "Hand stream_options to the model",
        "LlamaIndex does not ask for usage in a stream.",
        """
        from llama_index.llms.openai import OpenAI

        llm = OpenAI(
            model="gpt-4o-mini",
            additional_kwargs={"stream_options": {"include_usage": True}},
        )
        """,
        page="otlp/openinference.md",
    ),
    (_STREAMING, "openai-agents"): advice(
        "Turn on include_usage for chat completions",
        "The Responses API tells of usage by itself; behind a chat completions model it is asked "
        "for by a setting.",
        """
        from agents import Agent, ModelSettings

        agent = Agent(name="assistant", model_settings=ModelSettings(include_usage=True))
        """,
    ),
    (_STREAMING, "pydantic-ai"): advice(
        "Read the stream within its context, to the end",
        "The request's span ends when the block is left; usage that was not read by then is lost.",
        """
        from pydantic_ai import Agent


        async def stream(agent: Agent, prompt: str):
            async with agent.run_stream(prompt) as answer:
                async for text in answer.stream_text(delta=True):
                    yield text
        """,
        page="otlp/logfire.md",
    ),
    (_STREAMING, "bedrock"): advice(
        "Read ConverseStream to its metadata event",
        "Usage is in the event that comes after messageStop.",
        """
        def stream(client, **arguments):
            answer = client.converse_stream(**arguments)
            for event in answer["stream"]:
                if "metadata" in event:
                    usage = event["metadata"]["usage"]
                    print(usage["inputTokens"], usage["outputTokens"])
                yield event
        """,
        page="sdk/bedrock.md",
        tollbook="""
        import boto3

        import tollbook

        client = tollbook.wrap(boto3.client("bedrock-runtime", region_name="us-east-1"))
        """,
    ),
    (_STREAMING, "vercel-ai"): advice(
        "Turn on usage for models behind an address of their own",
        "createOpenAICompatible does not ask for usage unless it is told to.",
        """
        const provider = createOpenAICompatible({
          name: 'gateway',
          baseURL: process.env.GATEWAY_URL,
          includeUsage: true,
        });
        """,
        "text",
        page="otlp/vercel.md",
    ),
}
