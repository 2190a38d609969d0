// <gensafe-verify>: asks the service that this script came from. No other request is made, nothing is kept.
// Served after a line that sets GENSAFE_WORDS (gensafe/server/http/widget.py).
(() => {
  const words = GENSAFE_WORDS;
  const home = new URL(document.currentScript.src).origin;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { display: block; max-width: 32rem; font: 1rem/1.5 system-ui, sans-serif; }
    .box { border: 1px solid GrayText; border-inline-start: 0.5rem solid GrayText; border-radius: 0.5rem; padding: 0.75rem; }
    .good { border-color: #0b6b3a; } .bad { border-color: #a3171d; } .open { border-color: #8a6200; }
    .derived { border-color: #1f4f9e; }
    label { display: block; font-weight: 600; } input { max-width: 100%; font: inherit; margin-block: 0.5rem; }
    button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: 0.4rem 1.2rem; cursor: pointer; }
    h2 { font-size: 1.1rem; margin: 0 0 0.5rem; } p { margin: 0.5rem 0 0; } dl { margin: 0; }
    a { color: LinkText; } dt { font-weight: 600; } dd { margin: 0 0 0.4rem; overflow-wrap: anywhere; }
    :focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }`);
  const element = (name, text, ...children) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    made.append(...children);
    return made;
  };

  class GensafeVerify extends HTMLElement {
    connectedCallback() {
      if (this.shadowRoot) return;
      const root = this.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [sheet];
      const file = element("input");
      file.type = "file";
      const button = element("button", words.verify);
      this.answer = element("div");
      this.answer.setAttribute("role", "status");
      const box = element("div", "", element("label", words.choose, file), button, this.answer);
      box.className = "box";
      box.lang = words.lang;
      box.dir = words.dir;
      this.box = box;
      button.addEventListener("click", () => { if (file.files.length) this.check(file.files[0]); else file.click(); });
      root.append(box);
    }

    // Verify a File or Blob; resolves with the service's report, or null where it could not be asked.
    async check(file) {
      this.box.className = "box";
      this.answer.replaceChildren(element("p", words.checking));
      const form = new FormData();
      form.append("file", file, file.name || "file");
      const options = { method: "POST", body: form, headers: { Accept: "application/json" }, credentials: "omit" };
      let report = null;
      try {
        const answer = await fetch(`${home}/verify?lang=${words.lang}`, options);
        if (answer.ok) report = await answer.json();
      } catch { /* said below */ }
      if (report === null) this.answer.replaceChildren(element("p", words.unreached));
      else this.show(report.shown);
      this.dispatchEvent(new CustomEvent("gensafe-verified", { detail: report, bubbles: true, composed: true }));
      return report;
    }

    show(shown) {
      this.box.className = `box ${shown.tone}`;
      const facts = element("dl", "", ...shown.facts.flatMap((f) => [element("dt", f.name), element("dd", f.text)]));
      const link = element("a", words.details);
      link.href = `${home}/verify?lang=${words.lang}`;
      link.target = "_blank";
      link.rel = "noopener";
      const all = element("p", "", link);
      const why = shown.facts.some((f) => f.text === shown.explanation) ? [] : [element("p", shown.explanation)];
      this.answer.replaceChildren(element("h2", shown.title), facts, ...why, all, element("p", words.limits));
    }
  }
  if (!customElements.get("gensafe-verify")) customElements.define("gensafe-verify", GensafeVerify);
})();
