"use strict";
// The files of a bundle, read piece by piece (FileReaderSync, so this runs in a worker), and what is found in them.

const CHUNK = 2 ** 20; // bytes read at once: a round number

// Findings as [code, text]; none = consistent.
class Report {
  constructor() {
    Object.assign(this, { origin: "", size: 0, start: 0, stop: 0, disclosed: 0, withheld: 0, pruned: 0, disclosure: "" });
    Object.assign(this, { signer: "", given: "", manifestSigned: false, originEstablished: false, unreadable: "" });
    Object.assign(this, { startMs: null, endMs: null, findings: [], notes: [], unchecked: [], unexamined: [] });
  }

  add(code, text) {
    this.findings.push([code, text]);
    if (this.findings.length >= MAX_FINDINGS) throw new Enough();
  }

  note(text, list = this.notes) {
    if (!list.includes(text) && list.length < MAX_FINDINGS) list.push(text);
  }

  // As the exit status of `gensafe audit verify`: 0 valid, 1 not valid, 2 consistent only, 3 not a readable bundle.
  get status() {
    if (this.unreadable) return 3;
    if (this.findings.length) return 1;
    return this.originEstablished && !this.unexamined.length ? 0 : 2;
  }
}

// `files` maps names to File objects; `special` names what is no file to what it is.
class Folder {
  constructor(files, special) {
    if (files.size + special.size > MAX_FILES) throw new Defect("too-many-files", `there are more than ${MAX_FILES} files`);
    Object.assign(this, { files, special, reading: "", hashed: 0, reader: new FileReaderSync() });
  }

  has(name) {
    return this.files.has(name);
  }

  open(name) {
    this.reading = name;
    if (!this.files.has(name)) throw new Defect("file-missing", `${name} is missing`);
    return this.files.get(name);
  }

  bytes(file, start, end) {
    return new Uint8Array(this.reader.readAsArrayBuffer(file.slice(start, end)));
  }

  read(name, limit) {
    const file = this.open(name);
    if (file.size > limit) throw new Defect("file-too-large", `${name} has more than ${limit} bytes`);
    return this.bytes(file, 0, file.size);
  }

  digest(name) {
    const file = this.open(name);
    this.hashed += file.size;
    if (this.hashed > MAX_OTHER) {
      throw new Defect("file-too-large", `${name} makes more than ${MAX_OTHER / 2 ** 30} GiB of files to hash`);
    }
    const sha = new Sha256();
    for (let at = 0; at < file.size; at += CHUNK) sha.update(this.bytes(file, at, at + CHUNK));
    return "sha256:" + toHex(sha.digest());
  }
}

// A file read line by line, once; `digest` is that of the file when `ended`.
class Lines {
  constructor(folder, name, longest) {
    Object.assign(this, { folder, name, longest, number: 0, ended: false, done: false, start: 0 });
    this.file = folder.open(name);
    this.sha = new Sha256();
    this.buffer = new Uint8Array();
    this.at = 0; // in the buffer
    this.read = 0; // in the file
  }

  // The next line without its newline; null at the end. After a Defect there is no more.
  next() {
    if (this.done) return null;
    this.folder.reading = this.name;
    let end = this.buffer.indexOf(10, this.at);
    while (end < 0 && this.buffer.length - this.at < this.longest + 2 && this.read < this.file.size) end = this.more();
    const stop = Math.min(end < 0 ? this.buffer.length : end + 1, this.at + this.longest + 2);
    const line = this.buffer.subarray(this.at, stop);
    this.start = this.read - this.buffer.length + this.at;
    this.at = stop;
    if (line.length) this.number += 1;
    if (line.at(-1) === 10) return line.subarray(0, -1);
    this.done = true;
    if (line.length) throw new Defect("cut-line", `${this.name} line ${this.number} is cut short or too long`);
    this.ended = true;
    return null;
  }

  more() {
    const block = this.folder.bytes(this.file, this.read, this.read + CHUNK);
    if (!block.length) throw new DOMException("the file became shorter", "NotReadableError");
    const rest = this.buffer.subarray(this.at);
    const joined = new Uint8Array(rest.length + block.length);
    joined.set(rest);
    joined.set(block, rest.length);
    this.sha.update(block);
    this.read += block.length;
    this.buffer = joined;
    this.at = 0;
    return joined.indexOf(10, rest.length);
  }

  get digest() {
    return "sha256:" + toHex(this.sha.digest());
  }
}

// JSON lines, one ahead: `value` and `data` of the current line, `data` null at the end. A line that is no canonical JSON
// object is a finding; its `value` is empty, and reading goes on.
class Records {
  constructor(folder, name, longest, report) {
    Object.assign(this, { name, report, lines: new Lines(folder, name, longest) });
    this.step();
  }

  step() {
    this.value = {};
    this.data = null;
    try {
      this.data = this.lines.next();
      if (this.data === null) return;
      const value = canonical(this.data, this.where);
      if (!isObject(value)) throw new Defect("structure", `${this.where} is not an object`);
      this.value = value;
    } catch (error) {
      if (!(error instanceof Defect)) throw error;
      this.report.add(error.code, error.message);
    }
  }

  get where() {
    return `${this.name} line ${this.lines.number}`;
  }

  get index() {
    const index = get(this.value, "index");
    return isInt(index) ? index : -1;
  }
}
