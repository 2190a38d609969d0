"use strict";
// SHA-256 (FIPS 180-4), fed piece by piece. WebCrypto's digest wants a file whole in memory and answers one promise a
// call, which is too slow for the millions of tree nodes of a long log. `agrees` compares it with WebCrypto before use.

const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every((p) => n % p)) PRIMES.push(n);
const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
const SHA_K = Int32Array.from(PRIMES, (p) => fraction(Math.cbrt(p))); // section 4.2.2
const SHA_START = Int32Array.from(PRIMES.slice(0, 8), (p) => fraction(Math.sqrt(p))); // section 5.3.3
const SHA_W = new Int32Array(64);

class Sha256 {
  constructor() {
    this.state = SHA_START.slice();
    this.rest = new Uint8Array(64);
    this.used = 0;
    this.length = 0;
  }

  update(bytes) {
    let at = 0;
    this.length += bytes.length;
    if (this.used) {
      at = Math.min(64 - this.used, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.used);
      this.used += at;
      if (this.used < 64) return this;
      this.block(this.rest, 0);
      this.used = 0;
    }
    for (; at + 64 <= bytes.length; at += 64) this.block(bytes, at);
    this.rest.set(bytes.subarray(at));
    this.used = bytes.length - at;
    return this;
  }

  digest() {
    const end = new Uint8Array(this.used < 56 ? 64 : 128);
    end.set(this.rest.subarray(0, this.used));
    end[this.used] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(this.length / 2 ** 29));
    view.setUint32(end.length - 4, (this.length << 3) >>> 0);
    for (let at = 0; at < end.length; at += 64) this.block(end, at);
    const out = new DataView(new ArrayBuffer(32));
    this.state.forEach((word, i) => out.setInt32(4 * i, word));
    return new Uint8Array(out.buffer);
  }

  block(bytes, at) {
    const w = SHA_W;
    for (let i = 0; i < 16; i++, at += 4) {
      w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    const state = this.state;
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + SHA_K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
}

function sha256(...parts) {
  const sha = new Sha256();
  for (const part of parts) sha.update(part);
  return sha.digest();
}

const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const fromHex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
const sameBytes = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

// Whether the code above gives what WebCrypto gives, around every boundary of a block.
async function agrees() {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 37) & 255);
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 300]) {
    const part = bytes.subarray(0, length);
    const wanted = new Uint8Array(await crypto.subtle.digest("SHA-256", part));
    if (!sameBytes(sha256(part), wanted) || !sameBytes(sha256(part.subarray(0, 40), part.subarray(40)), wanted)) {
      return false;
    }
  }
  return true;
}
