// The official Connect client for browsers, unmodified, against a running server.
// Arguments: base URL, descriptor set, "json" or "binary", a prompt that is refused.
const assert = require("node:assert");
const { readFileSync } = require("node:fs");
const { fromBinary, createFileRegistry } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");
const { createClient, ConnectError, Code } = require("@connectrpc/connect");
const { createConnectTransport } = require("@connectrpc/connect-web");

async function main() {
  const [baseUrl, set, codec, refused] = process.argv.slice(2);
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(set)));
  const transport = createConnectTransport({ baseUrl, useBinaryFormat: codec === "binary" });
  const service = (name) => createClient(registry.getService(`gensafe.v1.${name}`), transport);
  const modality = (name) => registry.getEnum("gensafe.v1.Modality").values.find((v) => v.name === name).number;
  const generation = service("GenerationService");

  const models = await generation.listModels({});
  assert.ok(models.models.length > 0);

  const pieces = [];
  let completed;
  const request = { requestId: crypto.randomUUID(), prompt: "a kite", modality: modality("MODALITY_IMAGE") };
  for await (const { event } of generation.generate(request)) {
    if (event.case === "mediaChunk") pieces.push(event.value.data);
    if (event.case === "completed") completed = event.value;
  }
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  assert.strictEqual(BigInt(size), BigInt(completed.size ?? size));
  assert.deepStrictEqual([...pieces[0].slice(1, 4)], [0x50, 0x4e, 0x47]);

  let last;
  const bad = { requestId: crypto.randomUUID(), prompt: refused, modality: modality("MODALITY_TEXT") };
  for await (const { event } of generation.generate(bad)) last = event.case;
  assert.strictEqual(last, "blocked");

  await assert.rejects(
    generation.getGeneration({ requestId: "nothing" }),
    (error) => error instanceof ConnectError && error.code === Code.NotFound && error.details.length > 0,
  );
  await assert.rejects(generation.listModels({}, { headers: { "Content-Encoding": "gzip" } }));
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
