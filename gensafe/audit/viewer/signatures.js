"use strict";
// Who signed the manifest and the checkpoint.
class Signatures {
  constructor(folder, manifest, version, report) {
    Object.assign(this, { folder, manifest, version, report });
    this.signer = version > 1 ? this.namedSigner() : null;
    this.known = this.listedKeys();
  }

  // The manifest's note is over `raw`; with keys, they signed it and the checkpoint `note`.
  async check(raw, note, keys) {
    const there = this.folder.has("manifest.note");
    const signature = there ? this.folder.read("manifest.note", MAX_NOTE) : new Uint8Array();
    if (signature.length) this.checkText(raw, signature);
    else if (there || keys.length || this.signer) {
      this.report.add("manifest-unsigned", "the manifest is not signed (manifest.note is missing or empty)");
    } else this.report.note("the manifest is not signed, and says so: anybody can have chosen what it shows");
    if (keys.length) await this.underGiven(signature, note, keys);
    else await this.underListed(signature, note);
  }

  checkText(raw, signature) {
    const wanted = utf8(`${FORMATS[this.version - 1]}\nsha256:${toHex(sha256(raw))}\n`);
    if (!sameBytes(splitNote(signature).text, wanted)) {
      this.report.add("manifest-signature", "the signed digest is not that of the manifest");
    }
    if (this.version > 1 && !this.signer) {
      this.report.add("manifest-signature", "the manifest is signed and names no signer");
    }
  }

  async underGiven(signature, note, keys) {
    const checkpoint = await this.who("checkpoint-signature", note, keys);
    if (!checkpoint) this.report.add("checkpoint-signature", "no given key signed the checkpoint");
    const manifest = signature.length ? await this.who("manifest-signature", signature, keys) : null;
    if (signature.length && !manifest) {
      this.report.add("manifest-signature", `no given key signed the manifest${this.claim()}`);
    } else if (manifest && this.signer !== null && this.signer !== manifest.fingerprint) {
      this.report.add("manifest-signature", "the manifest names another signer than the key that signed it");
    }
    this.report.manifestSigned = manifest !== null;
    this.report.originEstablished = checkpoint !== null && manifest !== null;
    this.report.given = this.report.originEstablished ? manifest.fingerprint : "";
  }

  // Without a key: the signatures are those of the keys that the bundle itself names. This proves no origin.
  async underListed(signature, note) {
    if (signature.length && this.signer) {
      const named = this.known.filter((key) => key.fingerprint === this.signer);
      if (!(await this.who("manifest-signature", signature, named))) {
        this.report.add("manifest-signature", `the manifest is not signed by the key it names${this.claim()}`);
      }
    }
    if (this.known.length && !(await this.who("checkpoint-signature", note, this.known))) {
      this.report.note("the checkpoint is not signed by a key that the bundle lists");
    }
    this.report.note(
      `who made this, as no log key was given${this.claim()}. To establish it, get the log's key by another way than this ` +
        "bundle: the operator prints it with `gensafe audit checkpoint`; a witness that cosigned the log's checkpoints knows it too",
      this.report.unchecked,
    );
  }

  // The first key that signed; a wrong signature under one's name is a finding.
  async who(code, note, keys) {
    for (const key of keys) {
      try {
        if (await key.signed(note, this.report.origin)) return key;
      } catch (error) {
        if (!(error instanceof Defect)) throw error;
        this.report.add(error.code === "signature" ? code : error.code, error.message);
      }
    }
    return null;
  }

  claim() {
    return this.signer ? ` (the bundle says: ${this.report.origin}, key ${this.signer})` : "";
  }

  namedSigner() {
    if (this.manifest.signer === null) return null;
    const signer = fields(this.manifest.signer, ["name", "fingerprint"], "the manifest's signer");
    const text = signer.fingerprint;
    if (typeof text !== "string" || !text.startsWith("sha256:") || !HEX.test(text.slice(7))) {
      throw new Defect("structure", "the manifest's signer has no fingerprint");
    }
    if (signer.name !== this.manifest.origin) {
      this.report.add("origin", "the manifest is signed under another name than the log's");
    }
    this.report.signer = text;
    return text;
  }

  listedKeys() {
    const listed = this.manifest.keys;
    if (!Array.isArray(listed) || listed.length > MAX_PATH) {
      throw new Defect("structure", "the manifest's keys are not a list of keys that a log can have");
    }
    try {
      return listed.map(keyOf);
    } catch {
      throw new Defect("structure", "a key that the manifest lists is not a verifier key");
    }
  }
}
