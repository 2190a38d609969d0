"use strict";
// Only comfort: the page works without this file.
(() => {
  const form = document.getElementById("form");
  const drop = document.getElementById("drop");
  const file = document.getElementById("file");
  const status = document.getElementById("status");
  if (!form || !drop || !file || !status) return;
  const stop = (event) => { event.preventDefault(); };
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { stop(event); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) {
    drop.addEventListener(name, (event) => { stop(event); drop.classList.remove("over"); });
  }
  drop.addEventListener("drop", (event) => {
    if (!event.dataTransfer || event.dataTransfer.files.length === 0) return;
    if (event.dataTransfer.files.length > 1) {
      status.textContent = form.dataset.several ?? "";
      return;
    }
    file.files = event.dataTransfer.files;
    form.requestSubmit();
  });
  form.addEventListener("submit", () => { status.textContent = form.dataset.checking ?? ""; });
})();
