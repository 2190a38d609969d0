"use strict";
// The views of a bundle: every cell follows from the entries. As `View` and what it needs in gensafe/audit/standalone.py.

const FINAL = ["released", "blocked", "cancelled", "failed", "aborted"].map((end) => "generation." + end);
const COLUMNS = (
  "index time event tenant request_id record_id modality model model_version weights backend policy_id policy_digest " +
  "stage action categories conclusion media_type output_digest output_bytes manifest_digest manifest_signer " +
  "development_signer watermark_scheme watermark_level watermark_key_id layers label_profile reason opened_index leaf_hash"
).split(" ");
const NUMBERS = ["index", "output_bytes", "opened_index"];
const FORMULA = /^ *[=+\-@\t\r\n＝＋－＠]/;
const MAX_CELL = 131072; // characters of a CSV field
// activity_id and severity_id of OCSF's class API Activity (6003), as `compliance.exporters.ocsf`
const ACTIVITY = [
  [1, "Create", "generation.opened generation.released hold.set"],
  [2, "Read", "verify.performed export.made moderation.performed"],
  [3, "Update", "generation.held policy.changed config.changed key.rotated"],
  [4, "Delete", "hold.released log.tombstone"],
];
const SEVERITY = [
  [2, "Low", "generation.held log.tombstone"],
  [3, "Medium", "generation.blocked generation.failed generation.aborted misuse.reported"],
  [4, "High", "filter.unavailable"],
];
const FIRST_MS = -62135596800000; // year 1: the reference's dates go from there to year 9999
const LAST_MS = 253402300799999;

class OddShape extends Error {} // an entry of a shape that no exporter could have written a row for

// Python's str() of a scalar, so that the same text is judged; of anything else no log has one here.
function str(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "object") throw new OddShape("a text is a list or an object");
  return String(value);
}

// Whether Python takes the value for true.
function truthy(value) {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function scalarsEqual(a, b) {
  if ([a, b].some((value) => typeof value === "object" && value !== null)) throw new OddShape("not a scalar");
  const number = (value) => (typeof value === "boolean" ? Number(value) : value); // true equals 1 in the reference
  return number(a) === number(b);
}

function needed(value) {
  if (!isObject(value)) throw new OddShape("not an object");
  return value;
}

function timeText(ms) {
  if (ms < FIRST_MS || ms > LAST_MS) throw new OddShape("a time that no calendar here has");
  return new Date(ms).toISOString();
}

function hitsOf(verdict, action) {
  const decisions = get(verdict, "decisions", []);
  if (!Array.isArray(decisions)) throw new OddShape("decisions are no list");
  const hits = [];
  for (const decision of decisions) {
    if (!scalarsEqual(get(needed(decision), "action"), action)) continue;
    if (typeof get(decision, "category") !== "string") throw new OddShape("a decision without a category");
    if (!hits.includes(decision.category)) hits.push(decision.category);
  }
  return hits.join(" ") || null;
}

function layersOf(entry) {
  if (!truthy(get(entry, "layers"))) return null;
  if (!Array.isArray(entry.layers) || entry.layers.some((layer) => typeof layer !== "string")) throw new OddShape("layers");
  return entry.layers.join(" ");
}

// The row that stands for a leaf in CSV.
function flat(leaf) {
  const entry = leaf.entry;
  const inner = (name) => (isObject(get(entry, name)) ? entry[name] : {});
  const [made, out, mark, manifest] = ["generation", "output", "watermark", "manifest"].map(inner);
  const verdicts = truthy(get(entry, "verdicts")) ? entry.verdicts : [{}];
  if (!Array.isArray(verdicts)) throw new OddShape("verdicts are no list");
  const verdict = needed(verdicts.at(-1));
  const policy = needed(truthy(get(verdict, "policy")) ? verdict.policy : inner("policy"));
  const row = {};
  for (const name of COLUMNS) row[name] = get(entry, name);
  Object.assign(row, { index: leaf.index, time: timeText(leaf.ms), leaf_hash: toHex(leaf.digest) });
  Object.assign(row, { action: get(verdict, "action"), categories: hitsOf(verdict, get(verdict, "action")) });
  Object.assign(row, { model: get(made, "model", get(entry, "model")), model_version: get(made, "model_version") });
  Object.assign(row, { weights: get(made, "weights"), backend: get(made, "backend"), layers: layersOf(entry) });
  Object.assign(row, { policy_id: get(policy, "id"), policy_digest: get(policy, "digest") });
  Object.assign(row, { media_type: get(out, "media_type"), output_digest: get(out, "digest"), output_bytes: get(out, "bytes") });
  Object.assign(row, { manifest_digest: get(manifest, "digest"), manifest_signer: get(manifest, "signer") });
  row.development_signer = Object.hasOwn(manifest, "development") ? str(manifest.development).toLowerCase() : null;
  Object.assign(row, { watermark_scheme: get(mark, "scheme"), watermark_level: get(mark, "level") });
  Object.assign(row, { watermark_key_id: get(mark, "key_id") });
  row.label_profile = get(inner("labels"), "profile", get(entry, "label_profile"));
  return row;
}

// A CSV cell: text that a spreadsheet could take for a formula has an apostrophe in front.
function cell(name, value) {
  if (value === null) return "";
  if (NUMBERS.includes(name)) return typeof value === "number" || typeof value === "boolean" ? str(value) : "";
  const text = str(value).replaceAll("\0", "");
  return FORMULA.test(text) ? "'" + text : text;
}

function csvRow(leaf, columns) {
  const row = flat(leaf);
  return Object.fromEntries(columns.map((name) => [name, cell(name, row[name])]));
}

const ofTable = (table, event, otherwise) => table.find(([, , events]) => events.split(" ").includes(event)) || otherwise;

// The OCSF event that stands for a leaf: API Activity (6003) with the ai_operation profile.
function ocsfRow(leaf) {
  const entry = leaf.entry;
  const event = str(get(entry, "event", ""));
  const [activity, activityName] = ofTable(ACTIVITY, event, [99, "Other"]);
  const [severity, severityName] = ofTable(SEVERITY, event, [1, "Informational"]);
  const failed = FINAL.includes(event) && event !== "generation.released";
  const api = { operation: event, service: { name: "gensafe.v1" } };
  if (truthy(get(entry, "request_id"))) api.request = { uid: str(entry.request_id) };
  const row = { category_uid: 6, category_name: "Application Activity", class_uid: 6003, class_name: "API Activity" };
  Object.assign(row, { type_uid: 600300 + activity, activity_id: activity, activity_name: activityName });
  Object.assign(row, { severity_id: severity, severity: severityName, status_id: failed ? 2 : 1 });
  Object.assign(row, { status: failed ? "Failure" : "Success", time: leaf.ms, api });
  const product = { name: "GenSafe", vendor_name: "GenSafe" };
  row.metadata = { version: "1.9.0-dev", profiles: ["ai_operation"], product, uid: toHex(leaf.digest) };
  Object.assign(row.metadata, { sequence: leaf.index, event_code: event, original_event_uid: String(leaf.index) });
  const who = ["actor", "tenant"].map((name) => get(entry, name)).find(truthy);
  row.actor = { user: { uid: who === undefined ? "" : str(who) } };
  row.unmapped = entry;
  if (truthy(get(entry, "reason"))) row.status_detail = str(entry.reason);
  const made = get(entry, "generation");
  if (isObject(made)) {
    const names = { ai_provider: "backend", name: "model", version: "model_version", uid: "weights" };
    row.ai_model = Object.fromEntries(Object.entries(names).map(([name, of]) => [name, str(get(made, of, ""))]));
  }
  return row;
}

function eventRow(leaf) {
  return { index: leaf.index, time_ms: leaf.ms, leaf_hash: toHex(leaf.digest), entry: leaf.entry, time: timeText(leaf.ms) };
}

// Cells of a CSV (RFC 4180), row by row, with the states of Python's `csv.reader(…, strict=True)`.
class CsvReader {
  constructor(lines) {
    this.lines = lines;
  }

  row() {
    const cells = [];
    let field = "", state = "start", size = 0;
    const keep = () => {
      cells.push(field);
      field = "";
    };
    for (;;) {
      const line = this.lines.next();
      if (line === null) {
        if (state === "quoted") throw new Error("unexpected end of data");
        return null;
      }
      size += line.length;
      if (size > MAX_ROW) throw new Defect("view", `a row of ${this.lines.name} is too long`);
      if (state === "start" && (!line.length || (line.length === 1 && line[0] === 13))) return cells; // an empty line
      for (const c of decode(line) + "\n") {
        const newline = c === "\n" || c === "\r";
        if (state === "ended") {
          if (!newline) throw new Error("new-line character seen in unquoted field");
        } else if (state === "quoted") {
          if (c === '"') state = "quote";
          else field += c;
        } else if (state === "quote" && c === '"') {
          field += c;
          state = "quoted";
        } else if (newline) {
          keep();
          state = "ended";
        } else if (c === ",") {
          keep();
          state = "field";
        } else if (state === "quote") {
          throw new Error("',' expected after '\"'");
        } else if (c === '"' && state !== "plain") {
          state = "quoted";
        } else {
          field += c;
          state = "plain";
        }
        if (field.length > MAX_CELL) throw new Error(`field larger than field limit (${MAX_CELL})`);
      }
      if (state === "ended") return cells;
    }
  }
}

function* csvRows(lines, columns) {
  const reader = new CsvReader(lines);
  const header = reader.row();
  if (header === null || !same(header, columns)) {
    throw new Defect("view", `${lines.name} has other columns than those of its format`);
  }
  for (let cells = reader.row(); cells !== null; cells = reader.row()) {
    if (cells.length !== columns.length) {
      throw new Defect("view", `a row of ${lines.name} has ${cells.length} cells for ${columns.length} columns`);
    }
    yield Object.fromEntries(columns.map((name, i) => [name, cells[i]]));
  }
}

function* jsonRows(lines) {
  for (let line = lines.next(); line !== null; line = lines.next()) {
    const value = canonical(line, `${lines.name} line ${lines.number}`);
    if (!isObject(value)) throw new Defect("view", `${lines.name} line ${lines.number} is not an object`);
    yield value;
  }
}

// A view, read beside the entries: a wrong cell is a finding and reading goes on; a row of another entry ends it.
class View {
  constructor(lines, rows, wanted, report) {
    Object.assign(this, { name: lines.name, lines, rows, wanted, report, row: 0, wrong: 0, over: false });
  }

  compare(leaf) {
    if (this.over) return;
    this.row += 1;
    const row = this.next();
    if (row === null) {
      if (!this.over) this.stop(`${this.name} has ${this.row - 1} rows and more entries`);
      return;
    }
    let wanted;
    try {
      wanted = this.wanted(leaf);
    } catch {
      this.stop(`row ${this.row} of ${this.name} cannot follow from entry ${leaf.index}`);
      return;
    }
    if (same(row, wanted)) return;
    const names = [...new Set([...Object.keys(wanted), ...Object.keys(row)])];
    const differs = (name) => !Object.hasOwn(row, name) || !Object.hasOwn(wanted, name) || !same(row[name], wanted[name]);
    const odd = names.filter(differs).slice(0, 5).join(", ");
    const about = get(row, "metadata");
    if (get(row, "leaf_hash", isObject(about) ? get(about, "uid") : null) !== toHex(leaf.digest)) {
      this.stop(`row ${this.row} of ${this.name} is not the entry that stands there`);
    } else if (this.wrong < 5) {
      this.wrong += 1;
      this.report.add("view", `row ${this.row} of ${this.name}: ${odd} not as in entry ${leaf.index}`);
    }
  }

  // After the last entry; true if the file was read to its end.
  finish() {
    if (!this.over && this.next() !== null) this.stop(`${this.name} has more rows than there are entries`);
    return !this.over;
  }

  next() {
    try {
      const { value, done } = this.rows.next();
      return done ? null : value;
    } catch (error) {
      if (error instanceof Enough || error instanceof DOMException) throw error;
      if (error instanceof Defect) this.stop(error.message, error.code);
      else this.stop(`row ${this.row} of ${this.name} cannot be read: ${error.message}`);
      return null;
    }
  }

  stop(text, code = "view") {
    this.over = true;
    this.report.add(code, text);
  }
}

const ENTRY_FILES = ["manifest.json", "checkpoint", "entries.jsonl", "proofs.jsonl", "withheld.jsonl", "checkpoints.jsonl"];

// All views of a bundle that are known here; those that are not make the verdict say so.
class Views {
  constructor(folder, listed, version, report) {
    const columns = version === 1 ? COLUMNS.filter((name) => name !== "stage" && name !== "conclusion") : COLUMNS;
    this.views = [];
    const add = (name, rowsOf, wanted) => {
      const lines = new Lines(folder, name, MAX_ROW);
      this.views.push(new View(lines, rowsOf(lines), wanted, report));
    };
    for (const name of [...listed.keys()].filter((each) => folder.has(each)).sort()) {
      if (name === "entries.csv") add(name, (lines) => csvRows(lines, columns), (leaf) => csvRow(leaf, columns));
      else if (name === "entries.ocsf.jsonl") add(name, jsonRows, ocsfRow);
      else if (name === "events.jsonl") add(name, jsonRows, eventRow);
      else if (!ENTRY_FILES.includes(name)) {
        report.unexamined.push(name);
        const why = name === "entries.parquet" ? "Parquet is not read here" : "it is not of a format that is known here";
        report.note(`${name}: ${why}; only its digest was compared, what it says was not examined`, report.unchecked);
      }
    }
  }

  compare(leaf) {
    for (const view of this.views) view.compare(leaf);
  }

  // Digests of the views that were read to their end.
  finish() {
    return this.views.filter((view) => view.finish()).map((view) => [view.name, view.lines.digest]);
  }
}
