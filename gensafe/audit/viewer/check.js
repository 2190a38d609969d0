"use strict";
// The procedure of docs/audit-format.md, section "Checking", in the order of gensafe/audit/standalone.py.

const FORMATS = ["gensafe.audit.export/1", "gensafe.audit.export/2"];
const ENTRY_SCHEMA = "gensafe.audit.entry/1";
const REQUIRED = ["manifest.json", "checkpoint", "entries.jsonl", "proofs.jsonl"];
const UNLISTED = ["manifest.json", "manifest.note", "checkpoint.tst"]; // they speak for themselves
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const RESERVED = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$/i; // of Windows
const MANIFEST_1 = "format origin range filter checkpoint left right counts gaps keys files previous".split(" ");
const MANIFEST_2 = [...MANIFEST_1, "disclosure", "signer"];
const FILTER = ["start_ms", "end_ms", "tenant"];

// Check the bundle; never throws for what it holds. `onEntry` sees each disclosed entry that stands in its place.
async function verify(files, special, keys, report, onEntry, onProgress) {
  let folder = null;
  try {
    folder = new Folder(files, special);
    await verifyFolder(folder, keys, report, onEntry, onProgress);
  } catch (error) {
    try {
      const where = folder ? folder.reading : "the folder";
      if (error instanceof Enough) return;
      if (error instanceof Unreadable) report.unreadable = error.message;
      else if (error instanceof Defect) report.add(error.code, error.message);
      else if (error instanceof DOMException) report.add("unreadable", `${where}: it cannot be read (${error.name})`);
      else report.add("structure", `${where}: a field is missing or of the wrong kind (${error.name})`);
    } catch {
      // as many findings as are listed
    }
  }
}

async function verifyFolder(folder, keys, report, onEntry, onProgress) {
  // 1. the folder: required files, nothing unlisted, names and kinds of files
  const { raw, manifest, version } = readManifest(folder);
  const listed = checkFiles(folder, manifest, report);
  report.disclosure = disclosureOf(manifest, version);

  // 2. signatures
  const note = folder.read("checkpoint", MAX_NOTE);
  const digests = new Map([["checkpoint", "sha256:" + toHex(sha256(note))]]);
  const head = checkpointOf(note);
  Object.assign(report, { origin: head.origin, size: head.size });
  if (head.origin !== manifest.origin) report.add("origin", "checkpoint and manifest name different logs");
  if (!same(manifest.checkpoint, { size: head.size, root: toBase64(head.root) })) {
    report.add("checkpoint-swapped", "the checkpoint is not the one the manifest names");
  }
  await new Signatures(folder, manifest, version, report).check(raw, note, keys);
  if (folder.has("checkpoint.tst")) checkTimeStamp(folder, note, report);

  // 3. the range recomputes to the signed root; the views follow from it
  const span = fields(manifest.range, ["start", "stop"], "the manifest's range");
  report.start = count(span.start, "range.start");
  report.stop = count(span.stop, "range.stop");
  if (!(report.start <= report.stop && report.stop <= head.size)) throw new Defect("range", "there is no such range in the tree");
  const tally = new Tally(filterOf(manifest, report), report);
  const views = new Views(folder, listed, version, report);
  const walk = new Walk(folder, head.root, tally, views, report, onEntry, onProgress);
  walk.run(hashesOf(manifest.left), hashesOf(manifest.right));
  for (const [name, digest] of [...walk.digests, ...views.finish()]) digests.set(name, digest);

  // 4. what the manifest says about the entries is true
  Object.assign(report, { disclosed: tally.disclosed, withheld: tally.hidden, pruned: tally.counts().pruned });
  tally.checkPruned();
  tally.checkPeriod();
  if (!same(tally.counts(), manifest.counts)) report.add("counts", "the manifest's counts are not those of the entries");
  if (!same(tally.gaps(), manifest.gaps)) report.add("gaps", "the manifest's gaps are not those of the entries");
  if (report.disclosure !== "complete") tellScope(report, tally);

  // 5. earlier checkpoints are prefixes
  await checkHistory(folder, manifest, head, keys, digests, report);

  // 6. every listed file is the one that is listed
  for (const [name, digest] of listed) {
    if (!digests.has(name) && walk.unfinished.includes(name)) continue; // a finding already
    const found = digests.get(name) || folder.digest(name);
    if (found !== digest) report.add("file-digest", `${name} is not the file the manifest lists`);
  }
}

function readManifest(folder) {
  if (![...REQUIRED, "manifest.note"].some((name) => folder.has(name) || folder.special.has(name))) {
    throw new Unreadable("none of an export's files is there");
  }
  for (const [name, kind] of folder.special) {
    if (REQUIRED.includes(name) || UNLISTED.includes(name)) {
      throw new Defect("special-file", `${name} is ${kind}, not a regular file`);
    }
  }
  for (const name of REQUIRED) if (!folder.has(name)) throw new Defect("file-missing", `${name} is missing`);
  const raw = folder.read("manifest.json", MAX_MANIFEST);
  const manifest = canonical(raw, "manifest.json");
  const version = isObject(manifest) ? FORMATS.indexOf(get(manifest, "format")) + 1 : 0;
  if (!version) throw new Defect("format", `not an export of a format that is known here (${FORMATS.join(" or ")})`);
  return { raw, version, manifest: fields(manifest, version === 1 ? MANIFEST_1 : MANIFEST_2, "manifest.json") };
}

// What there is and what the manifest lists; returns the names that may be opened, with their digests.
function checkFiles(folder, manifest, report) {
  for (const [name, kind] of folder.special) report.add("special-file", `${name} is ${kind}, not a regular file`);
  const listed = manifest.files;
  if (!isObject(listed) || Object.keys(listed).length > MAX_FILES) {
    throw new Defect("structure", "the manifest's files are not a list of names that an export can have");
  }
  for (const name of [...folder.files.keys()].sort()) {
    if (!Object.hasOwn(listed, name) && !UNLISTED.includes(name)) report.add("file-unlisted", `${name} is not in the manifest`);
  }
  const good = new Map();
  const folded = new Set();
  for (const [name, digest] of Object.entries(listed)) {
    const lower = name.toLowerCase();
    if (!NAME.test(name) || name.endsWith(".") || RESERVED.test(name) || folded.has(lower)) {
      report.add("file-name", `"${name.slice(0, 120)}" cannot name a file of a bundle`);
    } else if (UNLISTED.includes(name) || (lower !== name && [...REQUIRED, ...UNLISTED].includes(lower))) {
      report.add("file-name", `"${name}" is not listed in a manifest`);
    } else if (!folder.has(name)) {
      report.add("file-missing", `${name} is listed in the manifest and not present`);
    } else if (typeof digest !== "string" || !digest.startsWith("sha256:") || !HEX.test(digest.slice(7))) {
      report.add("structure", `the manifest gives no digest of ${name}`);
    } else {
      good.set(name, digest);
    }
    folded.add(lower);
  }
  if (REQUIRED.slice(1).some((name) => !Object.hasOwn(listed, name))) {
    report.add("file-unlisted", "the manifest does not list all required files");
  }
  for (const name of ["withheld.jsonl", "checkpoints.jsonl"]) {
    if (folder.has(name) && !good.has(name)) report.add("file-unlisted", `${name} is not in the manifest`);
  }
  return good;
}

// Whose entries are disclosed: "complete", "tenant" or "public".
function disclosureOf(manifest, version) {
  if (version === 1) return truthy(fields(manifest.filter, FILTER, "filter").tenant) ? "tenant" : "complete";
  if (["complete", "tenant", "public"].includes(manifest.disclosure)) return manifest.disclosure;
  throw new Defect("structure", "the manifest does not say whether it is complete");
}

function filterOf(manifest, report) {
  const wanted = fields(manifest.filter, FILTER, "the manifest's filter");
  if ([wanted.start_ms, wanted.end_ms].some((ms) => ms !== null && !isInt(ms)) || typeof wanted.tenant !== "string") {
    throw new Defect("structure", "the manifest's filter has a field of the wrong kind");
  }
  if (Boolean(wanted.tenant) !== (report.disclosure === "tenant")) {
    report.add("disclosure", "the manifest contradicts itself about whether the export is complete");
  }
  Object.assign(report, { startMs: wanted.start_ms, endMs: wanted.end_ms });
  return wanted;
}

function tellScope(report, tally) {
  const whose = report.disclosure === "tenant" ? "one tenant and the service's own" : "the service itself only";
  report.note(
    `NOT COMPLETE: this export discloses the entries of ${whose}; ${tally.hidden} of the range are hashes only. ` +
      "What they say, and that they belong to others, cannot be seen here: it rests on whoever signed the manifest. " +
      "Counts and gaps are those of the disclosed entries",
  );
}

// An RFC 3161 token over the checkpoint: only that it is about it; OpenSSL says who signed it and when.
function checkTimeStamp(folder, note, report) {
  const token = toHex(folder.read("checkpoint.tst", MAX_NOTE));
  const digest = toHex(sha256(note));
  let at = token.indexOf(digest);
  while (at >= 0 && at % 2) at = token.indexOf(digest, at + 1); // at a whole byte
  if (at < 0) report.add("time-stamp", "the time-stamp is not over this checkpoint");
  else {
    report.note(
      "checkpoint.tst: it names this checkpoint; who issued it and when was not checked. To check it: openssl ts -verify " +
        "-token_in -in checkpoint.tst -data checkpoint -CAfile ROOTS.pem",
      report.unchecked,
    );
  }
}

// The previous export's tree and kept checkpoints are prefixes.
async function checkHistory(folder, manifest, head, keys, digests, report) {
  if (manifest.previous !== null) {
    const before = fields(manifest.previous, ["size", "root", "consistency"], "the manifest's previous export");
    const old = count(before.size, "previous.size");
    const [root, path] = [hashOf(before.root), hashesOf(before.consistency)];
    if (old > head.size || !consistent(old, root, head.size, head.root, path)) {
      report.add("consistency", "the previous export's tree is not a prefix of this one: the log was rewritten");
    }
  }
  if (!folder.has("checkpoints.jsonl")) return;
  const records = new Records(folder, "checkpoints.jsonl", MAX_SMALL_LINE, report);
  for (; records.data !== null; records.step()) {
    if (isEmpty(records.value)) continue;
    try {
      await checkKept(records, head, keys, report);
    } catch (error) {
      if (!(error instanceof Defect)) throw error;
      report.add(error.code, `${records.where}: ${error.message}`);
    }
  }
  if (records.lines.ended) digests.set(records.name, records.lines.digest);
}

async function checkKept(records, head, keys, report) {
  const line = fields(records.value, ["consistency", "note", "size"], records.where);
  if (typeof line.note !== "string") throw new Defect("structure", "a kept checkpoint is not text");
  const note = utf8(line.note);
  const kept = checkpointOf(note);
  const path = hashesOf(line.consistency);
  if (kept.origin !== head.origin || kept.size !== count(line.size, "size") || kept.size > head.size) {
    report.add("fork", `${records.where}: the kept checkpoint is not one of this log`);
  } else if (!consistent(kept.size, kept.root, head.size, head.root, path)) {
    report.add("fork", `the kept checkpoint of size ${kept.size} is not a prefix: the log was rewritten or forked`);
  }
  try {
    let signed = false;
    for (const key of keys) signed = (await key.signed(note, head.origin)) || signed;
    if (keys.length && !signed) {
      report.note(`the kept checkpoint of size ${kept.size} is signed by a key that was not given`);
    }
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    report.add("checkpoint-signature", `${records.where}: ${error.message}`);
  }
}
