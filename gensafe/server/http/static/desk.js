"use strict";
// The desk: every request goes to AdminService of this server, by the Connect protocol (docs/http-api.md), with the key
// that the person typed. Nothing is kept when the page is closed.
(() => {
  const REASONS = ["request of the subject", "retention", "end of contract", "order of an authority", "correction"];
  const CATEGORIES = ["takedown", "intimate-image", "child-safety", "impersonation", "deception", "privacy", "rights", "other"];
  const $ = (id) => document.getElementById(id);
  let key = "";

  class Refused extends Error {
    constructor(error) { super(error.message || "the server did not answer"); this.code = error.code || ""; }
  }

  const headers = (type) => {
    const sent = { "Content-Type": type };
    if (key) sent.Authorization = `Bearer ${key}`;
    return sent;
  };

  async function post(method, type, body) {
    try {
      return await fetch(`/gensafe.v1.AdminService/${method}`, { method: "POST", headers: headers(type), body, credentials: "omit" });
    } catch {
      throw new Refused({ message: "the server cannot be reached" });
    }
  }

  async function call(method, body = {}) {
    const answer = await post(method, "application/json", JSON.stringify(body));
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refused(said);
    return said;
  }

  // A method that answers with a stream: messages in envelopes, the last of which says how it ended.
  async function stream(method, body) {
    const sent = new TextEncoder().encode(JSON.stringify(body));
    const request = new Uint8Array(5 + sent.length);
    new DataView(request.buffer).setUint32(1, sent.length);
    request.set(sent, 5);
    const answer = await post(method, "application/connect+json", request);
    const data = new Uint8Array(await answer.arrayBuffer());
    if (!(answer.headers.get("content-type") || "").startsWith("application/connect+")) throw new Refused({ message: new TextDecoder().decode(data).slice(0, 300) });
    const messages = [];
    for (let at = 0; at + 5 <= data.length;) {
      const size = new DataView(data.buffer, at).getUint32(1);
      const message = JSON.parse(new TextDecoder().decode(data.subarray(at + 5, at + 5 + size)));
      if (!(data[at] & 2)) messages.push(message);
      else if (message.error) throw new Refused(message.error);
      at += 5 + size;
    }
    return messages;
  }

  const bytes = (base64) => Uint8Array.from(atob(base64 || ""), (c) => c.charCodeAt(0));

  function base64(data) {
    let text = "";
    for (let at = 0; at < data.length; at += 0x8000) text += String.fromCharCode(...data.subarray(at, at + 0x8000));
    return btoa(text);
  }

  function make(tag, fields = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(fields)) {
      if (name in made) made[name] = value; else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const facts = (rows) => make("dl", {}, ...rows.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  const when = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 16)} UTC` : "");
  const actor = () => $("actor").value.trim();

  let numbered = 0;
  function field(title, rows, most) {
    const id = `field-${++numbered}`;
    const area = make("textarea", { id, rows, required: true, maxLength: most });
    return [make("p", {}, make("label", { htmlFor: id }, title), area), area];
  }

  function tell(text) { $("status").textContent = text; $("alert").textContent = ""; }

  function complain(error) {
    $("status").textContent = "";
    $("alert").textContent = error instanceof Refused ? error.message : `this page failed: ${error.message}`;
    $("alert").scrollIntoView({ block: "nearest" });
  }

  // Runs an act with its buttons disabled, and says what came of it.
  async function act(form, work) {
    const buttons = [...form.querySelectorAll("button:not(:disabled)")];
    for (const button of buttons) button.disabled = true;
    try { await work(); } catch (error) { complain(error); } finally { for (const button of buttons) button.disabled = false; }
  }

  function onSubmit(form, work) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act(form, () => work(event.submitter ? event.submitter.value : ""));
    });
  }

  function filled(list, items, empty) {
    list.replaceChildren(...(items.length ? items : [make("p", { className: "help" }, empty)]));
  }

  // --- review queue

  async function draw(place, review) {
    const answer = await call("GetReview", { reviewId: review.reviewId });
    if (!answer.preview) return;
    const picture = await createImageBitmap(new Blob([bytes(answer.preview)], { type: "image/png" }));
    const canvas = make("canvas", { width: picture.width * 8, height: picture.height * 8, role: "img" });
    canvas.setAttribute("aria-label", `blurred preview of ${kind(review)}`);
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    place.replaceWith(canvas);
  }

  const kind = (review) => (review.modality || "").replace("MODALITY_", "").toLowerCase();

  function reviewItem(review) {
    const [reason, words] = field("Why", 2, 2000);
    const place = make("div", { className: "words" }, kind(review) === "text" ? "a text: take a copy to read it" : "no preview");
    const form = make("form", {}, reason,
      make("button", { value: "REVIEW_DECISION_RELEASED" }, "Release"),
      make("button", { value: "REVIEW_DECISION_REJECTED", className: "danger" }, "Reject and destroy"),
      make("button", { value: "copy", type: "submit", formNoValidate: true }, "Take a marked copy"));
    onSubmit(form, async (decision) => {
      if (decision === "copy") return takeCopy(review);
      const done = await call("DecideReview", { reviewId: review.reviewId, decision, reason: words.value, actor: actor() });
      await refresh();
      tell(done.review.decision === "released" ? `Released as record ${done.review.recordId}, log entry ${done.logIndex || 0}.` : "Rejected and destroyed.");
      $("reviews").focus();
    });
    const item = make("article", { className: "item" }, place, make("div", {},
      make("h3", {}, `${kind(review)} of ${review.tenant}`),
      facts([["Held", when(review.held)], ["Because of", (review.categories || []).join("; ")], ["Review", review.reviewId]]), form));
    draw(place, review).catch(complain);
    return item;
  }

  async function takeCopy(review) {
    const pieces = await stream("CopyReview", { reviewId: review.reviewId, actor: actor() });
    const first = pieces[0];
    const url = URL.createObjectURL(new Blob(pieces.map((piece) => bytes(piece.data)), { type: "application/octet-stream" }));
    const ending = { "text/plain": "txt", "image/png": "png", "audio/wav": "wav", "video/mp4": "mp4" }[first.mediaType] || "bin";
    const link = make("a", { href: url, download: `review-${review.reviewId}.${ending}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    tell(`Copy ${first.copyId} saved; logged as entry ${first.logIndex || 0}. It is not for passing on.`);
  }

  // --- reports of misuse

  function left(due) {
    const minutes = Math.round((Date.parse(due) - Date.now()) / 60000), size = Math.abs(minutes);
    const span = size < 90 ? `${size} min` : size < 60 * 48 ? `${Math.round(size / 60)} h` : `${Math.round(size / 1440)} days`;
    return minutes < 0 ? `late by ${span}` : `${span} left`;
  }

  async function caseItem(one) {
    const got = await call("GetCase", { ticket: one.ticket });
    const [reason, why] = field("Why (for the file)", 2, 2000);
    const [reply, answer] = field("What the reporter is told", 2, 10000);
    const form = make("form", {}, reason, reply,
      make("button", { value: "CASE_DECISION_UPHELD" }, "Uphold"), make("button", { value: "CASE_DECISION_DISMISSED" }, "Dismiss"));
    onSubmit(form, async (decision) => {
      const done = await call("DecideCase", { ticket: one.ticket, decision, reason: why.value, answer: answer.value, actor: actor() });
      await refresh();
      tell(`Case ${one.ticket} ${done.case.decision}, log entry ${done.case.decidedIndex || 0}.`);
      $("cases").focus();
    });
    const clock = make("strong", {}, left(one.due));
    return make("article", { className: one.late ? "late" : "" }, make("h3", {}, `${one.category}, ${one.tenant}`),
      make("p", {}, clock, ` (to be decided by ${when(one.due)})`),
      make("blockquote", {}, got.report || "The words of this report were erased."),
      facts([["Record", one.recordId], ["Found by", one.foundBy], ["Ticket", one.ticket], ["Reported", when(one.reported)]]), form);
  }

  onSubmit($("report"), async () => {
    const file = $("report-file").files[0];
    const body = { category: $("report-category").value, words: $("report-words").value, withinHours: Number($("report-hours").value) || 0, actor: actor() };
    if (file) body.file = base64(new Uint8Array(await file.arrayBuffer())); else body.recordId = $("report-record").value.trim();
    const done = await call("ReportMisuse", body);
    $("report").reset();
    await refresh();
    tell(`Case ${done.case.ticket} about record ${done.case.recordId}, found by ${done.case.foundBy}; log entry ${done.case.reportedIndex || 0}.`);
  });

  // --- legal holds and erasures

  function holdItem(hold) {
    const [reason, words] = field("Why it ends", 2, 2000);
    const form = make("form", {}, reason, make("button", {}, "Lift the hold"));
    onSubmit(form, async () => {
      const done = await call("ReleaseHold", { holdId: hold.holdId, reason: words.value, actor: actor() });
      await refresh();
      tell(`Hold ${hold.holdId} lifted, log entry ${done.logIndex || 0}.`);
      $("holds").focus();
    });
    return make("article", {}, make("h3", {}, hold.holdId), facts([["Covers", hold.scope], ["Placed", when(hold.placed)],
      ["By", hold.actor], ["Why", hold.reason], ["In the log", hold.loggedAs]]), make("details", {}, make("summary", {}, "Lift it"), form));
  }

  onSubmit($("hold"), async () => {
    const what = $("hold-what").value, tenant = $("hold-tenant").value.trim(), subject = $("hold-subject").value.trim();
    const scope = { all: "all", tenant: `tenant:${tenant}`, subject: `subject:${subject}` }[what];
    const done = await call("PlaceHold", { holdId: $("hold-id").value.trim(), scope, tenant: what === "subject" ? tenant : "", reason: $("hold-reason").value, actor: actor() });
    $("hold").reset();
    await refresh();
    tell(`The hold is in force on ${done.scope}; log entry ${done.logIndex || 0}.`);
  });

  const whose = () => ({ tenant: $("erase-tenant").value.trim(), subject: $("erase-subject").value.trim(), reason: $("erase-reason").value, actor: actor() });
  let shown = "";

  onSubmit($("erasure"), async (what) => {
    const body = whose();
    if (what !== "do") {
      const would = await call("Erase", { ...body, dryRun: true });
      shown = JSON.stringify(body);
      tell(`Would erase ${would.prompts || 0} prompts and ${would.blobs || 0} copies. Nothing was erased yet.`);
      setTimeout(() => { $("erase-now").disabled = shown !== JSON.stringify(whose()); });
      return;
    }
    if (shown !== JSON.stringify(body)) throw new Refused({ message: "the form was changed: first show what would be erased" });
    const done = await call("Erase", body);
    tell(`Erased ${done.prompts || 0} prompts and ${done.blobs || 0} copies; log entry ${done.logIndex || 0}.`);
    shown = "";
    setTimeout(() => { $("erase-now").disabled = true; });
  });
  $("erasure").addEventListener("input", () => { $("erase-now").disabled = true; });

  // --- all of it

  async function refresh() {
    const reviews = (await call("ListReviews")).reviews || [];
    const cases = (await call("ListCases")).cases || [];
    let holds = [], admin = true;
    try { holds = (await call("ListHolds")).holds || []; } catch (error) {
      if (error.code !== "permission_denied") throw error;
      admin = false;
    }
    for (const part of document.querySelectorAll(".admin")) part.hidden = !admin;
    $("reviews-count").textContent = `(${reviews.length})`;
    $("cases-count").textContent = `(${cases.length})`;
    $("holds-count").textContent = `(${holds.length})`;
    filled($("reviews-list"), reviews.map(reviewItem), "Nothing waits for a decision.");
    filled($("cases-list"), await Promise.all(cases.map(caseItem)), "No report waits for a decision.");
    filled($("holds-list"), holds.map(holdItem), "No legal hold is in force.");
    $("desk").hidden = false;
  }

  onSubmit($("sign-in"), async () => {
    key = $("key").value.trim();
    $("desk").hidden = true;
    await refresh();
    tell("The desk is open.");
    $("reviews").focus();
  });
  $("again").addEventListener("click", () => act($("again").parentElement, async () => { await refresh(); tell("Up to date."); }));
  for (const reason of REASONS) $("erase-reason").append(make("option", {}, reason));
  for (const category of CATEGORIES) $("report-category").append(make("option", { selected: category === "other" }, category));
})();
