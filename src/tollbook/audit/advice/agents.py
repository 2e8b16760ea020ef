"""Advice on agents, tools and sub-agents: whose run it is, at every depth."""

from __future__ import annotations

from typing import Final

from tollbook.audit.advice.making import Book, advice
from tollbook.audit.findings import Mode

_AGENTS: Final = Mode.AGENT_RECURSION.value

ADVICE: Final[Book] = {
    (_AGENTS, ""): advice(
        "Set the tenant around the whole run, tools and sub-agents included",
        "The identity is on the agent's own span and not in the context that its tools and "
        "sub-agents begin in.",
        """
        from opentelemetry import baggage, context


        def run_as(tenant_id: str, agent, *arguments):
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return agent(*arguments)  # a baggage span processor copies it to every span
            finally:
                context.detach(token)
        """,
        page="sdk/context.md",
        tollbook="""
        import tollbook


        def run_as(tenant_id: str, agent, *arguments):
            with tollbook.tenant(tenant_id), tollbook.agent_run(name="planner"):
                return agent(*arguments)  # tools: with tollbook.tool("search"): ...
        """,
    ),
    (_AGENTS, "thread"): advice(
        "Run tools in a copy of the agent's context",
        "Tools that run at the same time run in threads, which begin with an empty context.",
        """
        from concurrent.futures import ThreadPoolExecutor
        from contextvars import copy_context


        def run_tools(tools: list) -> list:
            with ThreadPoolExecutor() as pool:
                waiting = [pool.submit(copy_context().run, tool) for tool in tools]
                return [one.result() for one in waiting]
        """,
        page="sdk/threads.md",
        tollbook="""
        from tollbook.sdk.propagation.threads import PropagatingExecutor


        def run_tools(tools: list) -> list:
            with PropagatingExecutor() as pool:
                waiting = [pool.submit(tool) for tool in tools]
                return [one.result() for one in waiting]
        """,
    ),
    (_AGENTS, "langchain"): advice(
        "Hand the tenant on in the run's metadata",
        "A RunnableConfig goes to every child that it is handed to: a tool that calls a model has "
        "to take it and pass it on.",
        """
        from langchain_core.runnables import RunnableConfig
        from langchain_core.tools import tool


        def run(agent, question: str, tenant_id: str):
            config: RunnableConfig = {"metadata": {"tenant_id": tenant_id}}
            return agent.invoke({"messages": [("user", question)]}, config=config)


        def tool_of(model):
            @tool
            def search(query: str, config: RunnableConfig) -> str:
                "Search."
                return str(model.invoke(query, config=config).content)  # the same config

            return search
        """,
        page="runs.md",
    ),
    (_AGENTS, "llamaindex"): advice(
        "Tag what the run does with the tenant",
        "Workflows start steps as tasks of their own; tags of the instrumentation reach all spans "
        "within.",
        """
        from llama_index.core.instrumentation.dispatcher import instrument_tags


        async def run(agent, question: str, tenant_id: str):
            with instrument_tags({"tenant_id": tenant_id}):
                return await agent.run(question)
        """,
        page="otlp/openinference.md",
    ),
    (_AGENTS, "crewai"): advice(
        "Set the tenant around kickoff, in a copy of the context for each crew",
        "Crews run tasks in threads; what is set outside reaches them only in a copied context.",
        """
        from contextvars import copy_context

        from opentelemetry import baggage, context


        def run(crew, inputs: dict, tenant_id: str):
            def within():
                context.attach(baggage.set_baggage("tenant.id", tenant_id))
                return crew.kickoff(inputs=inputs)

            return copy_context().run(within)

        # pip install opentelemetry-instrumentation-threading
        # from opentelemetry.instrumentation.threading import ThreadingInstrumentor
        # ThreadingInstrumentor().instrument()
        """,
        page="sdk/threads.md",
        tollbook="""
        import tollbook
        from tollbook.sdk.propagation.threads import instrument_threads

        instrument_threads()


        def run(crew, inputs: dict, tenant_id: str):
            with tollbook.tenant(tenant_id), tollbook.agent_run(name="crew"):
                return crew.kickoff(inputs=inputs)
        """,
    ),
    (_AGENTS, "openai-agents"): advice(
        "Write the tenant into the trace's metadata and the context",
        "Handoffs and agents as tools begin runs of their own; the run's configuration has to be "
        "handed to each.",
        """
        from agents import Agent, RunConfig, Runner
        from opentelemetry import baggage, context


        async def run(agent: Agent, question: str, tenant_id: str):
            config = RunConfig(trace_metadata={"tenant_id": tenant_id})
            token = context.attach(baggage.set_baggage("tenant.id", tenant_id))
            try:
                return await Runner.run(agent, question, run_config=config)
            finally:
                context.detach(token)
        """,
        page="runs.md",
    ),
    (_AGENTS, "pydantic-ai"): advice(
        "Set baggage around the run",
        "The agent's metadata stands on its run alone; baggage reaches its requests, its tools and "
        "the agents that tools run.",
        """
        import logfire
        from pydantic_ai import Agent


        async def run(agent: Agent, question: str, tenant_id: str):
            with logfire.set_baggage(**{"tenant.id": tenant_id}):
                return await agent.run(question, metadata={"tenant_id": tenant_id})
        """,
        page="otlp/logfire.md",
    ),
    (_AGENTS, "vercel-ai"): advice(
        "Hand the tenant to telemetry in every call, those of tools included",
        "Metadata is of one call: a tool that calls generateText itself has to name it again.",
        """
        const telemetry = { isEnabled: true, metadata: { tenantId } };

        await generateText({
          model,
          prompt,
          experimental_telemetry: telemetry,
          tools: {
            research: tool({
              inputSchema,
              execute: async ({ topic }) =>
                (await generateText({ model, prompt: topic, experimental_telemetry: telemetry }))
                  .text,
            }),
          },
        });
        """,
        "text",
        page="otlp/vercel.md",
    ),
    (_AGENTS, "mcp"): advice(
        "Send the context in _meta of the tool's call",
        "A tool on an MCP server runs in another process; requests have _meta for what goes along.",
        """
        from opentelemetry import context, propagate


        async def call(session, name: str, arguments: dict):
            meta: dict[str, str] = {}
            propagate.inject(meta)
            return await session.call_tool(name, arguments, meta=meta)


        def serve(meta: dict, handle):
            token = context.attach(propagate.extract(meta))
            try:
                return handle()
            finally:
                context.detach(token)
        """,
        page="sdk/context.md",
    ),
}
