// The official JavaScript client, unmodified, against a running server: argument 1 is its base URL.
const OpenAI = require("openai");
const assert = require("node:assert");

async function main() {
  const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });
  const messages = [{ role: "user", content: "Tell me about the lighthouse." }];
  const whole = await client.chat.completions.create({ model: "lamp-1", messages });
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({ model: "lamp-1", messages, stream: true })) {
    streamed += chunk.choices[0].delta.content ?? "";
  }
  assert.strictEqual(streamed, whole.choices[0].message.content);
  const picture = await client.images.generate({ prompt: "a lighthouse" });
  assert.ok(picture.gensafe.record_id);
  await assert.rejects(
    client.chat.completions.create({ model: "lamp-1", messages: [{ role: "user", content: process.argv[3] }] }),
    (error) => error instanceof OpenAI.BadRequestError && error.code === "content_filter",
  );
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
