// The original NSFWJS on the pictures that `python -m benchmarks.media_safety.nudity export FOLDER` wrote.
const tf = require("@tensorflow/tfjs");
require("@tensorflow/tfjs-backend-wasm");
const nsfw = require("nsfwjs");
const fs = require("fs");
const path = require("path");

(async () => {
  await tf.setBackend("wasm");
  const folder = process.argv[2];
  const model = await nsfw.load("MobileNetV2Mid", { type: "graph" });
  const lines = [];
  for (const [name, height, width] of JSON.parse(fs.readFileSync(path.join(folder, "index.json")))) {
    const pixels = tf.tensor3d(Int32Array.from(fs.readFileSync(path.join(folder, name))), [height, width, 3], "int32");
    const scores = Object.fromEntries((await model.classify(pixels)).map((p) => [p.className, p.probability]));
    pixels.dispose();
    lines.push(JSON.stringify({ name, scores }));
  }
  fs.writeFileSync(path.join(folder, "original.jsonl"), lines.join("\n") + "\n");
})();
