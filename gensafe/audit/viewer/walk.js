"use strict";
// The entries of the range, in order: their place in the tree, and what they say.

const BUNDLE = 256; // entries that retention forgets at once (C2SP tlog-tiles: width of an entry bundle)
const TELL_EVERY = 2000; // entries between two messages of progress: several a second

const outage = (classifier, from_index, from_ms, to_index, to_ms) => ({ classifier, from_index, from_ms, to_index, to_ms });

// Order of Python's strings: by code point, where JavaScript's is by UTF-16 unit.
function byCodePoint(a, b) {
  const [left, right] = [Array.from(a), Array.from(b)];
  const at = left.findIndex((c, i) => c !== right[i]);
  if (at < 0) return left.length - right.length;
  return at < right.length ? left[at].codePointAt(0) - right[at].codePointAt(0) : 1;
}

// Counts, gaps and order over the entries of the range.
class Tally {
  constructor(wanted, report) {
    Object.assign(this, { start: wanted.start_ms, end: wanted.end_ms, tenant: wanted.tenant, report });
    Object.assign(this, { disclosed: 0, hidden: 0, lastMs: 0, ahead: null, forgottenBefore: 0 });
    Object.assign(this, { events: new Map(), pruned: [], open: new Map(), down: new Map(), outages: [] });
  }

  // An entry that is present as a hash only.
  withhold(index, reason) {
    if (reason === "pruned") {
      if (this.pruned.length && this.pruned.at(-1)[1] === index) this.pruned.at(-1)[1] = index + 1;
      else if (this.pruned.push([index, index + 1]) > MAX_FINDINGS) {
        throw new Defect("withheld-reason", "pruned entries are not whole bundles from the start");
      }
    } else if (reason === "tenant" && this.report.disclosure !== "complete") {
      this.hidden += 1;
    } else {
      this.report.add("withheld-reason", `entry ${index} is withheld without a reason the filter gives`);
    }
  }

  add(leaf) {
    const { index, entry } = leaf;
    this.disclosed += 1;
    this.date(leaf);
    if (this.report.disclosure !== "complete" && !["", this.tenant].includes(get(entry, "tenant", ""))) {
      this.report.add("tenant", `entry ${index} belongs to another tenant`);
    }
    if (Object.hasOwn(entry, "schema") && entry.schema !== ENTRY_SCHEMA) {
      this.report.note(`entry ${index} has another schema: ${str(entry.schema).slice(0, 80)}`);
    }
    const event = str(get(entry, "event", ""));
    this.events.set(event, (this.events.get(event) || 0) + 1);
    if (this.events.size > 1000 || this.open.size + this.outages.length + this.down.size > MAX_OPEN) {
      throw new Defect("gaps", "there are more kinds of events or open matters than a log has");
    }
    this.follow(event, leaf);
  }

  // Times go back only where the log says that a clock that was ahead was put right.
  date({ index, ms, entry }) {
    const { report } = this;
    const corrected = get(entry, "event") === "clock.corrected" && isInt(get(entry, "from_ms"));
    if (corrected && scalarsEqual(get(entry, "to_ms"), ms)) {
      if (!(ms < entry.from_ms) || entry.from_ms < this.lastMs) {
        report.add("back-dated", `entry ${index} corrects the clock from a time that was not reached`);
      }
      this.lastMs = ms;
      this.ahead = null;
      report.note(`entry ${index}: the clock was ahead and was put right`);
    } else if (ms < this.lastMs) {
      report.add("back-dated", `entry ${index} is dated before the entry in front of it`);
    }
    this.lastMs = Math.max(this.lastMs, ms);
    if (this.start !== null && ms < this.start) {
      report.add("outside-period", `entry ${index} is outside the period the manifest states`);
    } else if (this.end !== null && ms >= this.end && this.ahead === null) {
      this.ahead = index;
    }
  }

  checkPeriod() {
    if (this.ahead === null) return;
    this.report.add("outside-period", `entry ${this.ahead} is outside the period the manifest states`);
  }

  follow(event, { index, ms, entry }) {
    const name = event.startsWith("filter.") ? Array.from(str(get(entry, "classifier"))).slice(0, 1000).join("") : "";
    if (event === "generation.opened") this.open.set(index, this.brief(entry));
    else if (FINAL.includes(event)) this.close(index, event, entry);
    else if (event === "filter.unavailable") {
      if (!this.down.has(name)) this.down.set(name, [index, ms]);
    } else if (event === "filter.restored" && this.down.has(name)) {
      this.outages.push(outage(name, ...this.down.get(name), index, ms));
      this.down.delete(name);
    } else if (event === "log.tombstone" && get(entry, "kind") === "retention" && isObject(get(entry, "erased"))) {
      const before = get(entry.erased, "before_index");
      this.forgottenBefore = Math.max(this.forgottenBefore, isInt(before) ? before : 0);
    }
  }

  // A stand-in for a request id, of bounded size.
  brief(entry) {
    return toHex(sha256(utf8(str(get(entry, "request_id", "")))));
  }

  close(index, event, entry) {
    const opened = get(entry, "opened_index", -1);
    const before = isInt(opened) ? opened : -1;
    const found = this.open.get(before);
    this.open.delete(before);
    if (found === undefined) {
      if (event === "generation.released" && (before < 0 || before >= this.report.start)) {
        this.report.add("release-without-intent", `entry ${index} releases what no open request asked for`);
      }
    } else if (found !== this.brief(entry)) {
      this.report.add("release-without-intent", `entry ${index} closes the request of another id`);
    }
  }

  // Retention forgets whole bundles from the log's start, and writes a tombstone first.
  checkPruned() {
    if (!this.pruned.length) return;
    const { start, stop, size } = this.report;
    const [first, last] = this.pruned[0];
    const aligned = last % BUNDLE === 0 || (last === stop && Math.ceil(stop / BUNDLE) * BUNDLE <= size);
    if (this.pruned.length > 1 || first !== start || !aligned) {
      this.report.add("withheld-reason", "pruned entries are not whole bundles of 256 from the start of the range");
    } else if (stop === size && this.report.disclosure === "complete" && this.forgottenBefore < last) {
      this.report.add("withheld-reason", "entries are withheld as pruned, and no tombstone says that they were");
    } else {
      this.report.note(`${last - first} entries were pruned by retention: only their hashes are left`);
    }
  }

  counts() {
    const events = Object.fromEntries(this.events);
    const pruned = this.pruned.reduce((sum, [from, to]) => sum + to - from, 0);
    return { disclosed: this.disclosed, withheld: this.hidden, pruned, events };
  }

  gaps() {
    const names = [...this.down.keys()].sort(byCodePoint);
    const running = names.map((name) => outage(name, ...this.down.get(name), -1, -1));
    const unfinished = [...this.open.keys()].sort((a, b) => a - b);
    return { unfinished, filter_outages: [...this.outages, ...running], pruned: this.pruned };
  }
}

// Reads entries, proofs and withheld hashes side by side, in the order of the log.
class Walk {
  constructor(folder, root, tally, views, report, onEntry, onProgress) {
    Object.assign(this, { root, tally, views, report, onEntry, onProgress, tree: new Range(), bad: false, torn: false });
    this.entries = new Records(folder, "entries.jsonl", MAX_LEAF, report);
    this.proofs = new Records(folder, "proofs.jsonl", MAX_SMALL_LINE, report);
    this.withheld = folder.has("withheld.jsonl") ? new Records(folder, "withheld.jsonl", MAX_SMALL_LINE, report) : null;
    this.records = [this.entries, this.proofs, this.withheld].filter(Boolean);
  }

  run(left, right) {
    const { report, tree } = this;
    tree.fill(report.start, left);
    for (let at = report.start, told = at; at < report.stop; at = this.step(at)) {
      if (at - told < TELL_EVERY) continue;
      told = at;
      this.onProgress(at - report.start, report.stop - report.start);
    }
    if (this.records.some((record) => record.data !== null)) {
      report.add("entry-extra", "there are entries, hashes or proofs beyond the range");
      this.bad = true;
    }
    if (this.torn) return;
    tree.fill(report.size, right);
    if (sameBytes(tree.root(), this.root)) return;
    report.add("root", "the entries do not lead to the signed root");
    if (this.bad) return;
    report.add("withheld-altered", "every disclosed entry is in the tree, so a withheld hash or the range is wrong");
  }

  // Digests of the files that were read to their end.
  get digests() {
    return this.records.filter((record) => record.lines.ended).map((record) => [record.name, record.lines.digest]);
  }

  get unfinished() {
    return this.records.filter((record) => !record.lines.ended).map((record) => record.name);
  }

  // Take what stands for entry `at`; returns the next index. Each step takes a line or ends the range.
  step(at) {
    const { entries, withheld } = this;
    if (withheld && withheld.data !== null && withheld.index <= at) return this.takeHash(at);
    if (entries.data !== null && (isEmpty(entries.value) || entries.index <= at)) return this.takeEntry(at);
    const waiting = [entries, withheld].filter((record) => record && record.data !== null).map((record) => record.index);
    const upto = Math.min(...waiting, this.report.stop);
    const missing = upto - at === 1 ? `entry ${at} is` : `entries ${at} to ${upto - 1} are`;
    this.report.add("entry-missing", `${missing} missing`);
    this.bad = this.torn = true;
    return upto;
  }

  takeHash(at) {
    const { value, where } = this.withheld;
    this.withheld.step();
    if (isEmpty(value)) {
      this.torn = true; // a broken line, which is a finding already
      return at + 1;
    }
    if (!hasFields(value, ["index", "leaf", "reason"]) || value.index !== at) {
      this.report.add("entry-order", `${where} is not a hash for entry ${at}`);
      this.bad = true;
      return at;
    }
    if (typeof value.leaf !== "string" || !HEX.test(value.leaf)) {
      this.report.add("hash-format", `${where}: a withheld leaf is not 32 bytes in hexadecimal digits`);
      this.torn = true;
      return at + 1;
    }
    this.tally.withhold(at, value.reason);
    this.tree.add(0, fromHex(value.leaf));
    return at + 1;
  }

  takeEntry(at) {
    const { value, data, where, index } = this.entries;
    const place = [this.entries.lines.start, data.length];
    const digest = leafHash(data);
    this.entries.step();
    if (isEmpty(value)) {
      this.bad = true; // a broken line, which is a finding already; its bytes still have a hash
    } else if (!hasFields(value, ["entry", "index", "time_ms"]) || !isObject(value.entry)) {
      this.report.add("leaf-format", `${where} is not a leaf`);
      this.bad = true;
    } else if (!isInt(value.time_ms)) {
      this.report.add("leaf-format", `${where} has no time`);
      this.bad = true;
    } else if (index !== at) {
      this.report.add("entry-order", `${where} holds entry ${index} where entry ${at} is expected`);
      this.bad = true;
      return at;
    } else {
      this.checkProof(at, digest);
      const leaf = { index: at, ms: value.time_ms, entry: value.entry, digest };
      this.onEntry(leaf, ...place);
      this.tally.add(leaf);
      this.views.compare(leaf);
    }
    this.tree.add(0, digest);
    return at + 1;
  }

  checkProof(at, digest) {
    const { proofs, report } = this;
    for (; proofs.data !== null && proofs.index < at; proofs.step()) {
      if (!isEmpty(proofs.value)) report.add("proof-missing", `${proofs.where} is not a proof of entry ${at}`);
      this.bad = true;
    }
    if (proofs.data === null || proofs.index !== at || !hasFields(proofs.value, ["hashes", "index"])) {
      report.add("proof-missing", `entry ${at} has no inclusion proof`);
      this.bad = true;
      return;
    }
    try {
      const root = included(digest, at, report.size, hashesOf(proofs.value.hashes));
      if (!root || !sameBytes(root, this.root)) {
        report.add("entry-altered", `entry ${at} or its proof was altered: it is not in the signed tree`);
        this.bad = true;
      }
    } catch (error) {
      if (!(error instanceof Defect)) throw error;
      report.add(error.code, `${proofs.where}: ${error.message}`);
      this.bad = true;
    }
    proofs.step();
  }
}
