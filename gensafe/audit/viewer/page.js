// The page: takes files and a key, lets a worker judge them, shows what it says. All text from a bundle is set as text.
const $ = (id) => document.getElementById(id);
const MAX_KEY = 64 * 1024; // bytes of a key file; a key in PEM has a few hundred
const MAX_TAKEN = 65; // one more than a bundle may have: enough to say so
const ALWAYS =
  "links and empty folders in the folder (a browser does not show them), and whether the export continues an earlier one: " +
  "`gensafe audit verify DIR --log-key FILE --previous DIR` checks both";
const HEADLINES = {
  0: ["good", "Valid"],
  1: ["bad", "Not valid"],
  2: ["open", "Consistent, origin not established"],
  3: ["bad", "Not a readable bundle"],
};
const MEANINGS = {
  0: "Manifest and checkpoint are signed under the key that you gave, and the entries are those of the signed log, none left out.",
  1: "Do not rely on it. Each line below is something that would not be so in a bundle that nobody changed.",
  2: "Nothing contradicts itself, but no key was given: whoever made the folder could have arranged all of it.",
  3: "What was given is not an export of an audit log.",
};
const PARTLY = [
  "Consistent and signed, but not examined in full",
  "Manifest and checkpoint are signed under the key that you gave; what some files say was not examined.",
];

let chosen = { files: new Map(), special: new Map() };
let worker = null;
let busy = false;
let query = { event: null, from: 0 };

// Nothing that a bundle says may steer what is seen: control, format and unassigned characters are written out.
const plain = (text) =>
  String(text).replace(/[^\P{C}\n]|[\p{Zl}\p{Zp}]/gu, (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = plain(text);
  if (className) made.className = className;
  return made;
}

const timeOf = (ms) => {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? `${ms} ms` : time.toISOString().replace("T", " ").replace(".000Z", " UTC").replace("Z", " UTC");
};

// --- what was chosen ---

function take(pairs) {
  chosen = { files: new Map(), special: new Map() };
  let twice = "";
  for (const [name, file] of pairs) {
    if (chosen.files.has(name)) twice = name;
    if (file) chosen.files.set(name, file);
    else chosen.special.set(name, "a folder");
  }
  const size = chosen.files.size;
  $("chosen").textContent = plain(twice ? `Two files are named ${twice}: choose one folder` : `${size} ${size === 1 ? "file" : "files"} chosen`);
  if (twice) chosen.files.clear();
  $("result").hidden = true;
}

function fromInput({ files, id }) {
  $(id === "folder" ? "files" : "folder").value = "";
  take(
    Array.from(files).map((file) => {
      const parts = (file.webkitRelativePath || file.name).split("/");
      return parts.length > 2 ? [parts[1], null] : [parts.at(-1), file];
    }),
  );
}

// Everything directly in a dropped folder, or the dropped files, as [name, file or null for a folder].
async function fromDrop(items) {
  const handles = await Promise.all(
    items.map((item) => (item.getAsFileSystemHandle ? item.getAsFileSystemHandle() : new EntryHandle(item.webkitGetAsEntry()))),
  );
  const pairs = [];
  const add = async (handle) => pairs.push([handle.name, handle.kind === "file" ? await handle.getFile() : null]);
  if (handles.length === 1 && handles[0].kind === "directory") {
    for await (const handle of handles[0].values()) {
      await add(handle);
      if (pairs.length === MAX_TAKEN) break;
    }
  } else for (const handle of handles.slice(0, MAX_TAKEN)) await add(handle);
  return pairs;
}

// The older interface for dropped folders, in the shape of the newer one.
class EntryHandle {
  constructor(entry) {
    Object.assign(this, { entry, name: entry.name, kind: entry.isFile ? "file" : "directory" });
  }

  getFile() {
    return new Promise((resolve, reject) => this.entry.file(resolve, reject));
  }

  async *values() {
    const reader = this.entry.createReader();
    for (;;) {
      const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!entries.length) return;
      for (const entry of entries) yield new EntryHandle(entry);
    }
  }
}

// --- the check ---

function check() {
  if (busy) worker.terminate();
  $("result").hidden = true;
  if (!chosen.files.size && !chosen.special.size) {
    $("progress").textContent = "Choose the folder or the files of a bundle first.";
    return;
  }
  $("progress").textContent = "Checking …";
  if (busy || !worker) worker = checker();
  busy = true;
  worker.postMessage({ ...chosen, key: $("key").value });
}

function checker() {
  const code = URL.createObjectURL(new Blob([$("checker").textContent], { type: "text/javascript" }));
  const made = new Worker(code);
  URL.revokeObjectURL(code);
  made.onerror = () => stopped("the checker could not be run in this browser");
  made.onmessage = ({ data }) => answer(data);
  return made;
}

function answer(data) {
  if (!data.total || data.rows) busy = false;
  if (data.report) show(data.report, data.events);
  else if (data.rows) showRows(data);
  else if (data.total) $("progress").textContent = `Checking … ${data.done.toLocaleString("en")} of ${data.total.toLocaleString("en")} entries`;
  else if (data.badKey) stopped(`the key cannot be read: ${data.badKey}`);
  else if (data.missing) stopped(`this browser lacks ${data.missing}`);
  else stopped(data.failed);
}

function stopped(why) {
  $("result").hidden = true;
  $("progress").textContent = plain(`Nothing was judged: ${why}.`);
  document.dispatchEvent(new CustomEvent("judged", { detail: null }));
}

function show(report, events) {
  const [tone, headline] = report.status === 2 && report.originEstablished ? ["open", PARTLY[0]] : HEADLINES[report.status];
  const meaning = report.status === 2 && report.originEstablished ? PARTLY[1] : MEANINGS[report.status];
  $("progress").textContent = "";
  $("verdict").className = `verdict ${tone}`;
  $("headline").textContent = headline;
  $("meaning").textContent = plain(report.unreadable ? `${meaning} (${report.unreadable})` : meaning);
  fill("unchecked", [...report.unchecked, ALWAYS].map((text) => element("li", text)));
  fill("findings", report.findings.map(([code, text]) => {
    const line = element("li", text + " ");
    line.append(element("code", code));
    return line;
  }));
  if (report.findings.length >= 50) $("findings").append(element("li", "Checking stopped here: more would say nothing new."));
  fill("notes", report.notes.map((text) => element("li", text)));
  for (const name of ["findings", "notes"]) $(name).parentElement.hidden = !$(name).children.length;
  fill("facts", facts(report).flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
  $("facts").parentElement.hidden = !report.origin;
  $("doubt").hidden = report.status === 0;
  const any = element("option", "all events");
  any.value = "";
  fill("event", [any, ...[...events].sort().map((event) => element("option", event))]);
  names = [...events].sort();
  $("entries").hidden = !events.length;
  $("result").hidden = false;
  if (events.length) ask(null, 0);
  document.dispatchEvent(new CustomEvent("judged", { detail: report }));
}

let names = [];

function facts(report) {
  const range = report.start < report.stop ? `${report.start} to ${report.stop - 1}` : "none";
  const period = [report.startMs === null ? "the start" : timeOf(report.startMs), report.endMs === null ? "the end" : timeOf(report.endMs)];
  const signed = report.given ? `${report.origin}, key ${report.given} (the key that you gave)` : "not established";
  const shown = { complete: "all entries", tenant: "one tenant's and the service's own", public: "the service's own only" };
  const lines = [["Log", report.origin], ["Signed by", signed]];
  if (!report.given && report.signer) lines.push(["Signer that the bundle names", report.signer]);
  lines.push(["Period", `${period[0]} to ${period[1]} of the log (the end is not part of it)`]);
  lines.push(["Entries", `${range} of a tree of ${report.size}: ${report.disclosed} disclosed, ${report.withheld} withheld, ${report.pruned} pruned`]);
  lines.push(["Discloses", shown[report.disclosure] || "not said"]);
  return lines;
}

const fill = (id, children) => $(id).replaceChildren(...children);

// --- the table ---

function ask(event, from) {
  query = { event, from };
  worker.postMessage(query);
}

function showRows({ rows, total, from, step }) {
  fill("rows", rows.map((row) => {
    const line = document.createElement("tr");
    const whole = document.createElement("details");
    whole.append(element("summary", row.request || "all fields"));
    whole.addEventListener("toggle", () => whole.append(element("pre", row.whole)), { once: true });
    const last = document.createElement("td");
    last.append(whole);
    line.append(element("td", row.index), element("td", timeOf(row.time)), element("td", row.event), element("td", row.tenant), last);
    return line;
  }));
  $("page").textContent = total ? `${from + 1} to ${from + rows.length} of ${total.toLocaleString("en")}` : "none";
  $("earlier").disabled = from === 0;
  $("later").disabled = from + rows.length >= total;
  $("earlier").onclick = () => ask(query.event, Math.max(0, from - step));
  $("later").onclick = () => ask(query.event, from + step);
  document.dispatchEvent(new CustomEvent("listed"));
}

// --- what a person does ---

$("folder").addEventListener("change", (event) => fromInput(event.target));
$("files").addEventListener("change", (event) => fromInput(event.target));
$("event").addEventListener("change", (event) => ask(event.target.selectedIndex ? names[event.target.selectedIndex - 1] : null, 0));
$("key-file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) $("key").value = file.size > MAX_KEY ? "" : await file.text();
  if (file && file.size > MAX_KEY) $("progress").textContent = "That file is too large for a key.";
});
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  check();
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
  });
}
document.addEventListener("drop", async (event) => {
  const items = Array.from(event.dataTransfer.items).filter((item) => item.kind === "file");
  try {
    take(await fromDrop(items));
    check();
  } catch (error) {
    $("chosen").textContent = plain(`The browser does not hand over what was dropped (${error.name}): choose the folder instead.`);
  }
});
