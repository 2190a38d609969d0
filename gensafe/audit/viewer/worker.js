"use strict";
// The worker's messages: {files, special, key} asks for a check, {event, from} for rows of the table.

const ROWS = 100; // of the table at a time: few enough to read
let lacking = null; // what the browser lacks, asked once
let places = null; // where each entry that stands in its place lies in entries.jsonl

class Places {
  constructor(file) {
    Object.assign(this, { file, reader: new FileReaderSync(), used: 0, names: [], numbers: new Map() });
    this.grow(1024);
  }

  grow(room) {
    for (const [name, kind] of [["starts", Float64Array], ["lengths", Uint32Array], ["events", Uint16Array]]) {
      const grown = new kind(room);
      if (this[name]) grown.set(this[name]);
      this[name] = grown;
    }
  }

  add(leaf, start, length) {
    const event = String(get(leaf.entry, "event", "")).slice(0, 100);
    if (!this.numbers.has(event) && this.names.length < 1000) this.numbers.set(event, this.names.push(event) - 1);
    if (this.used === this.starts.length) this.grow(2 * this.used);
    this.starts[this.used] = start;
    this.lengths[this.used] = length;
    this.events[this.used++] = this.numbers.get(event) ?? 0;
  }

  rows(event, from) {
    const wanted = this.numbers.get(event);
    const rows = [];
    let total = 0;
    for (let i = 0; i < this.used; i++) {
      if (wanted !== undefined && this.events[i] !== wanted) continue;
      if (total >= from && rows.length < ROWS) rows.push(this.row(i));
      total += 1;
    }
    return { rows, total, from, step: ROWS };
  }

  row(i) {
    const bytes = this.reader.readAsArrayBuffer(this.file.slice(this.starts[i], this.starts[i] + this.lengths[i]));
    const leaf = JSON.parse(decode(new Uint8Array(bytes)));
    const text = (name) => (typeof get(leaf.entry, name) === "string" ? leaf.entry[name] : "");
    return {
      index: leaf.index,
      time: new Date(leaf.time_ms),
      event: text("event"),
      tenant: text("tenant"),
      request: text("request_id"),
      whole: JSON.stringify(leaf.entry, null, 2),
    };
  }
}

async function check({ files, special, key }) {
  const missing = await (lacking ??= missingHere());
  if (missing) return { missing };
  let keys;
  try {
    keys = readKeys(key);
  } catch (error) {
    return { badKey: error.message };
  }
  const report = new Report();
  places = files.has("entries.jsonl") ? new Places(files.get("entries.jsonl")) : null;
  const onProgress = (done, total) => postMessage({ done, total });
  await verify(files, special, keys, report, (leaf, start, length) => places.add(leaf, start, length), onProgress);
  return { report: { ...report, status: report.status }, events: places ? places.names : [] };
}

onmessage = async ({ data }) => {
  try {
    postMessage(data.files ? await check(data) : places.rows(data.event, data.from));
  } catch (error) {
    postMessage({ failed: `${error.name}: ${error.message}` });
  }
};
