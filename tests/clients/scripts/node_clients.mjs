// The JavaScript clients of OpenAI and Anthropic against a gateway: node node_clients.mjs URL KEY.
// Prints one JSON line with what each call reported of its usage.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [url, key] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${url}/openai/v1`, apiKey: key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: `${url}/anthropic`, apiKey: key, maxRetries: 0 });
const messages = [{ role: "user", content: "Say something short." }];
const seen = {};

const chat = await openai.chat.completions.create({ model: "gpt-4o-mini", messages });
seen[chat.id] = [chat.usage.prompt_tokens, chat.usage.completion_tokens];

let streamId;
let chunks = 0;
for await (const chunk of await openai.chat.completions.create({
  model: "gpt-4o",
  messages,
  stream: true,
  stream_options: { include_usage: true },
})) {
  streamId = chunk.id;
  chunks += 1;
  if (chunk.usage) seen[streamId] = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
}

const response = await openai.responses.create({ model: "gpt-5-mini", input: "Hello." });
seen[response.id] = [response.usage.input_tokens, response.usage.output_tokens];

const message = await anthropic.messages.create({
  model: "claude-haiku-4-5",
  max_tokens: 200,
  messages,
});
seen[message.id] = [message.usage.input_tokens, message.usage.output_tokens];

const final = await anthropic.messages
  .stream({ model: "claude-sonnet-4-6", max_tokens: 200, messages })
  .finalMessage();
seen[final.id] = [final.usage.input_tokens, final.usage.output_tokens];

let refused = {};
try {
  await openai.chat.completions.create({ model: "no-such-model", messages });
} catch (error) {
  refused.openai = [error.constructor.name, error.status];
}
try {
  await anthropic.messages.create({ model: "no-such-model", max_tokens: 5, messages });
} catch (error) {
  refused.anthropic = [error.constructor.name, error.status];
}
console.log(JSON.stringify({ seen, chunks, refused }));
