"use strict";
// Canonical JSON, the Merkle tree, signed notes and keys, as gensafe/audit/standalone.py judges them: the same bounds, the
// same codes, the same order. Where the two could differ on what no log writes, this one refuses.

const MAX_FINDINGS = 50;
const MAX_FILES = 64; // in the folder; an export has about ten
const MAX_LEAF = 65535; // tlog-tiles: a leaf's length is 16 bits
const MAX_NOTE = 64 * 1024; // C2SP signed-note: implementations may refuse more
const MAX_SIGNATURES = 64; // of one note
const MAX_PATH = 64; // hashes of a proof: a tree has less than 2^64 leaves
const MAX_MANIFEST = 16 * 2 ** 20;
const MAX_SMALL_LINE = 256 * 1024; // proofs, withheld hashes, kept checkpoints
const MAX_ROW = 2 ** 20; // a row of a view
const MAX_OTHER = 8 * 2 ** 30; // bytes of files that are only hashed, together
const MAX_OPEN = 2000000; // open requests and outages that are kept in memory
const MAX_DEPTH = 400; // of nesting; the reference stops where Python's recursion does, which is deeper
const HEX = /^[0-9a-f]{64}$/;
const SURROGATE = /\p{Surrogate}/u; // one without its partner

class Defect extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}
class Unreadable extends Error {}
class Enough extends Error {}

const encoder = new TextEncoder();
const utf8 = (text) => encoder.encode(text);
const decode = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

// --- JSON ---

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isInt = (value) => typeof value === "number"; // of parsed JSON: `dump` lets no other number through
const get = (object, name, otherwise = null) => (Object.hasOwn(object, name) ? object[name] : otherwise);
const isEmpty = (object) => Object.keys(object).length === 0;
const hasFields = (value, names) => Object.keys(value).length === names.length && names.every((n) => Object.hasOwn(value, n));

function dump(value, depth = 0) {
  if (depth > MAX_DEPTH) throw new RangeError("nested too deep");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new RangeError("not an integer within 2^53");
    return String(value);
  }
  if (typeof value === "string") {
    if (SURROGATE.test(value)) throw new RangeError("half a character");
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return "[" + value.map((item) => dump(item, depth + 1)).join(",") + "]";
  const names = Object.keys(value).sort();
  return "{" + names.map((name) => dump(name) + ":" + dump(value[name], depth + 1)).join(",") + "}";
}

const same = (left, right) => dump(left) === dump(right);

function asciiKeys(value) {
  if (Array.isArray(value)) return value.every(asciiKeys);
  if (!isObject(value)) return true;
  return Object.keys(value).every((name) => /^[\0-\x7f]*$/.test(name) && asciiKeys(value[name]));
}

// Parse the canonical profile: no floats, no doubled keys, no white space, integers within 2^53, ASCII keys.
function canonical(bytes, what) {
  let text, value, again;
  try {
    text = decode(bytes);
    value = JSON.parse(text);
    again = dump(value);
    if (again !== text && /[.eE]/.test(text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|true|false|null/g, ""))) throw new RangeError();
    if (text.length !== bytes.length && !asciiKeys(value)) throw new RangeError("a key is not ASCII");
  } catch {
    throw new Defect("json", `${what} is not JSON of the canonical profile`);
  }
  if (again !== text) throw new Defect("not-canonical", `${what} is not in canonical form`);
  return value;
}

function fields(value, names, what) {
  if (isObject(value) && hasFields(value, names)) return value;
  const found = isObject(value) ? Object.keys(value) : [];
  const odd = [...found.filter((n) => !names.includes(n)), ...names.filter((n) => !found.includes(n))].sort();
  const which = odd.slice(0, 5).join(", ") || "not an object";
  throw new Defect("structure", `${what} lacks a field, or has one that is not defined: ${which}`);
}

function count(value, what) {
  if (!isInt(value) || value < 0) throw new Defect("structure", `${what} is not a number of entries`);
  return value;
}

// --- base64 and hashes ---

// Bytes of strict base64 (RFC 4648 section 3.5: no white space, unused bits zero), or null.
function base64(text) {
  if (typeof text !== "string" || text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  try {
    const raw = atob(text);
    return btoa(raw) === text ? Uint8Array.from(raw, (c) => c.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}

const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));

function hashOf(text) {
  const bytes = base64(text);
  if (!bytes || bytes.length !== 32) throw new Defect("hash-format", "a hash is not 32 bytes of base64");
  return bytes;
}

function hashesOf(value) {
  if (!Array.isArray(value) || value.length > MAX_PATH) {
    throw new Defect("hash-format", `a proof is not a list of at most ${MAX_PATH} hashes`);
  }
  return value.map(hashOf);
}

// --- Merkle tree (RFC 6962) ---

const EMPTY_ROOT = sha256();
const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);
const leafHash = (bytes) => sha256(LEAF_PREFIX, bytes);
const nodeHash = (left, right) => sha256(NODE_PREFIX, left, right);
const bits = (n) => n.toString(2).length; // of a positive integer

// Subtree hashes from the left edge on; adding what follows leads to the root.
class Range {
  constructor() {
    this.size = 0;
    this.stack = [];
  }

  add(level, digest) {
    if (this.size % 2 ** level) throw new Defect("range-proof", "a hash of the range proof does not fit where it stands");
    this.size += 2 ** level;
    while (this.stack.length && this.stack.at(-1)[0] === level) {
      digest = nodeHash(this.stack.pop()[1], digest);
      level += 1;
    }
    this.stack.push([level, digest]);
  }

  fill(upto, hashes) {
    for (const digest of hashes) {
      const room = upto - this.size;
      if (room <= 0) throw new Defect("range-proof", "the range proof has too many hashes");
      let level = bits(room) - 1;
      if (this.size) level = Math.min(level, this.size.toString(2).match(/0*$/)[0].length);
      this.add(level, digest);
    }
    if (this.size !== upto) throw new Defect("range-proof", "the range proof has too few hashes");
  }

  root() {
    if (!this.stack.length) return EMPTY_ROOT;
    return this.stack.map((node) => node[1]).reduceRight((right, left) => nodeHash(left, right));
  }
}

// Root that an audit path leads to, from the leaf up; null if it has the wrong length.
function included(leaf, index, size, path) {
  let digest = leaf, place = index, width = size, used = 0;
  while (width > 1) {
    if (place % 2 || place + 1 < width) {
      if (used === path.length) return null;
      const sibling = path[used++];
      digest = place % 2 ? nodeHash(sibling, digest) : nodeHash(digest, sibling);
    }
    place = Math.floor(place / 2);
    width = Math.floor((width + 1) / 2);
  }
  return used === path.length ? digest : null;
}

// RFC 6962 section 2.1.2: rebuild both roots from the proof.
function consistent(old, oldRoot, size, root, path) {
  if (old === 0) return !path.length && sameBytes(oldRoot, EMPTY_ROOT);
  if (old === size) return !path.length && sameBytes(oldRoot, root);
  const hashes = [...path];
  const take = () => {
    if (!hashes.length) throw new Enough();
    return hashes.shift();
  };
  const rebuild = (m, n, whole) => {
    if (m === n) {
      const digest = whole ? oldRoot : take();
      return [digest, digest];
    }
    const split = 2 ** (bits(n - 1) - 1);
    if (m <= split) {
      const [first, second] = rebuild(m, split, whole);
      return [first, nodeHash(second, take())];
    }
    const [first, second] = rebuild(m - split, n - split, false);
    const left = take();
    return [nodeHash(left, first), nodeHash(left, second)];
  };
  try {
    const [first, second] = rebuild(old, size, true);
    return !hashes.length && sameBytes(first, oldRoot) && sameBytes(second, root);
  } catch (error) {
    if (error instanceof Enough) return false;
    throw error;
  }
}

// --- signed notes (C2SP) and keys ---

function splitNote(note) {
  let cut = note.length - 2;
  while (cut >= 0 && !(note[cut] === 10 && note[cut + 1] === 10)) cut--;
  if (cut < 0 || note.at(-1) !== 10 || note.length > MAX_NOTE) throw new Defect("note-format", "not a signed note");
  const bad = new Defect("note-format", "a signature line is malformed");
  let whole, tail;
  try {
    whole = decode(note);
    tail = decode(note.subarray(cut + 2)).replace(/\n$/, "");
  } catch {
    throw bad;
  }
  if (/[\0-\x09\x0b-\x1f]/.test(whole)) throw bad;
  const lines = tail.split("\n").map((line) => {
    const parts = line.split(" ");
    const raw = parts.length === 3 ? base64(parts[2]) : null;
    if (!raw || parts[0] !== "—" || raw.length < 5 || !parts[1] || parts[1].includes("+")) throw bad;
    return { name: parts[1], raw };
  });
  if (lines.length > MAX_SIGNATURES) throw new Defect("note-format", "a note has too many signatures");
  return { text: note.subarray(0, cut + 1), lines };
}

function checkpointOf(note) {
  const parts = decode(splitNote(note).text).split("\n");
  const [origin, size, root, ...rest] = parts;
  try {
    if (!origin || rest.at(-1) !== "" || rest.slice(0, -1).includes("")) throw new RangeError();
    if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) throw new RangeError();
    return { origin, size: Number(size), root: hashOf(root) };
  } catch {
    throw new Defect("checkpoint-format", "the checkpoint is malformed");
  }
}

async function verifies(raw, signature, text) {
  const key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, signature, text);
}

// What is missing in this browser, in words; "" if nothing is. The signature is test 1 of RFC 8032 section 7.1.
async function missingHere() {
  if (!globalThis.crypto?.subtle) return "cryptography (WebCrypto): open the page from disk, by https, or from localhost";
  if (!(await agrees())) return "a SHA-256 that agrees with the browser's own";
  const key = fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const signature = fromHex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b" +
      "d25bf5f0595bbe24655141438e7a100b",
  );
  try {
    const [good, bad] = [new Uint8Array(), Uint8Array.of(0)];
    if ((await verifies(key, signature, good)) && !(await verifies(key, signature, bad))) return "";
  } catch {
    // told below
  }
  return "Ed25519 signatures in WebCrypto: they are in Chromium from 137, Firefox from 129 and Safari from 17";
}

// An Ed25519 key of the log; `name` "" = whatever origin the checkpoint states.
class LogKey {
  constructor(name, raw) {
    this.name = name;
    this.raw = raw;
    this.fingerprint = "sha256:" + toHex(sha256(raw));
  }

  // Whether this key signed the note as `origin`; a wrong signature under its name and id is a Defect.
  async signed(note, origin) {
    if (this.name !== "" && this.name !== origin) return false;
    const { text, lines } = splitNote(note);
    const id = sha256(utf8(origin + "\n"), Uint8Array.of(1), this.raw).subarray(0, 4);
    for (const { name, raw } of lines) {
      if (name !== origin || !sameBytes(raw.subarray(0, 4), id)) continue;
      if (await verifies(this.raw, raw.subarray(4), text)) return true;
      throw new Defect("signature", "a signature under the log's key does not verify");
    }
    return false;
  }
}

// One key as 64 hex digits or as a verifier key (C2SP signed-note); throws if it is neither.
function keyOf(line) {
  if (/^[0-9a-fA-F]{64}$/.test(line)) return new LogKey("", fromHex(line));
  const [, name, id, material] = /^([^+]+)\+([^+]*)\+(.*)$/.exec(line) || [];
  const raw = base64(material);
  if (!raw || raw.length !== 33 || raw[0] !== 1 || id !== toHex(sha256(utf8(name + "\n"), raw).subarray(0, 4))) {
    throw new Error("not an Ed25519 verifier key");
  }
  return new LogKey(name, raw.subarray(1));
}

// Keys from what a person pasted; none from none: verifier keys, PEM, 64 hex digits, or what `gensafe audit checkpoint` printed.
function readKeys(text) {
  if (text.includes("-----BEGIN")) {
    const [, body] = /-----BEGIN PUBLIC KEY-----([\s\S]*?)-----END PUBLIC KEY-----/.exec(text) || [];
    const der = base64((body || "").replace(/\s/g, ""));
    const prefix = "302a300506032b6570032100"; // RFC 8410: SubjectPublicKeyInfo of an Ed25519 key
    if (!der || der.length !== 44 || toHex(der.subarray(0, 12)) !== prefix) throw new Error("not an Ed25519 key in PEM");
    return [new LogKey("", der.subarray(12))];
  }
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
  const printed = lines.filter((line) => line.startsWith("key: ")).map((line) => line.slice(5));
  if (text.trim() && !lines.length) throw new Error("there is no key in it");
  return (printed.length ? printed : lines).map(keyOf);
}
