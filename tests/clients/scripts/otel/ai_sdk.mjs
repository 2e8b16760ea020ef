// The AI SDK with its telemetry, exported as OTLP in JSON: node ai_sdk.mjs VERSION PROVIDERS OTLP.
// Each call stands below a span whose attribute "case" names it.
import { trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { z } from "zod";

const [version, url, otlp] = process.argv.slice(2);
const [sdk, gpts, claudes] =
  version === "5" ? ["ai5", "ai5-openai", "ai5-anthropic"] : ["ai", "@ai-sdk/openai", "@ai-sdk/anthropic"];
const { embed, generateText, stepCountIs, streamText, tool } = await import(sdk);
const { createOpenAI } = await import(gpts);
const { createAnthropic } = await import(claudes);

const exporter = new OTLPTraceExporter({ url: `${otlp}/v1/traces` });
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
const apiKey = "sk-sim-provider";
const openai = createOpenAI({ baseURL: `${url}/openai/v1`, apiKey });
const anthropic = createAnthropic({ baseURL: `${url}/anthropic/v1`, apiKey });
const experimental_telemetry = {
  isEnabled: true,
  functionId: "summary",
  metadata: { tenantId: "acme", userId: "u-1", sessionId: "s-1" },
};
const asked = { prompt: "Say something short.", experimental_telemetry, maxRetries: 0 };

async function run(name, size, call) {
  const headers = { "x-sim-request-id": name, ...(size ? { "x-sim-size": size } : {}) };
  await trace.getTracer("cases").startActiveSpan("case", { attributes: { case: name } }, async (span) => {
    try {
      await call(headers);
    } catch (error) {
      if (!name.endsWith("error")) throw error;
    }
    span.end();
  });
}

const chat = openai.chat("gpt-4o-mini");
const claude = anthropic("claude-haiku-4-5");
await run("chat", "input=1500;cache_read=1024;output=40", (headers) =>
  generateText({ ...asked, model: chat, headers }),
);
await run("chat-stream", "input=300;output=30", async (headers) => {
  for await (const _ of streamText({ ...asked, model: chat, headers }).textStream);
});
await run("responses", "input=1400;cache_read=1280;output=35", (headers) =>
  generateText({ ...asked, model: openai("gpt-5-mini"), headers }),
);
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string().optional() }),
  execute: async () => "sunny",
});
await run("chat-tools", "input=250;output=25", (headers) =>
  generateText({ ...asked, model: chat, headers, tools: { weather }, stopWhen: stepCountIs(2) }),
);
await run("embeddings", "", (headers) =>
  embed({ model: openai.textEmbeddingModel("text-embedding-3-small"), value: "a text", headers, experimental_telemetry }),
);
await run("claude", "input=120;output=40", (headers) => generateText({ ...asked, model: claude, headers }));
await run("claude-cached", "input=5000;cache_read=4000;cache_write_5m=500;output=40", (headers) =>
  generateText({ ...asked, model: claude, headers }),
);
await run("claude-little-cached", "input=5000;cache_read=1100;output=40", (headers) =>
  generateText({ ...asked, model: claude, headers }),
);
await run("claude-hour", "input=3000;cache_write_1h=1200;output=20", (headers) =>
  generateText({ ...asked, model: claude, headers }),
);
await run("claude-stream", "input=2400;cache_read=1100;output=30", async (headers) => {
  for await (const _ of streamText({ ...asked, model: claude, headers }).textStream);
});
await provider.shutdown();
