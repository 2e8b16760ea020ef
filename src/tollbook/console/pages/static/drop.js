// Files dropped on a form, and how much of them was sent. Without this file it is a plain form.
"use strict";

function sizeText(bytes) {
  const mib = bytes / 1048576;
  return mib >= 1 ? `${mib.toFixed(1)} MiB` : `${Math.ceil(bytes / 1024)} KiB`;
}

function droppable(form) {
  const input = form.querySelector("input[type=file]");
  const button = form.querySelector("button");
  const zone = form.closest(".card") ?? form;
  const status = form.appendChild(document.createElement("div"));
  status.className = "sending";
  status.setAttribute("role", "status");
  const words = status.appendChild(document.createElement("p"));
  const bar = status.appendChild(document.createElement("progress"));
  bar.setAttribute("aria-label", "Sent");
  bar.hidden = true;
  const most = Number(input.dataset.maxBytes) || Infinity;

  const chosen = () => [...input.files];
  const isTooLarge = () => chosen().reduce((sum, one) => sum + one.size, 0) > most;
  const say = (text, tone = "") => { words.textContent = text; words.className = tone ? `notice ${tone}` : ""; };
  const list = () => {
    if (!chosen().length) return say("");
    if (isTooLarge()) {
      return say(`More than ${sizeText(most)}: audit these where they lie, with the command at the foot of the page.`, "warn");
    }
    say(chosen().map((one) => `${one.name} (${sizeText(one.size)})`).join(", "));
  };
  input.addEventListener("change", list);

  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      zone.classList.add("is-over");
    });
  }
  zone.addEventListener("dragleave", (event) => {
    if (!zone.contains(event.relatedTarget)) zone.classList.remove("is-over");
  });
  zone.addEventListener("drop", (event) => {
    zone.classList.remove("is-over");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    input.files = event.dataTransfer.files;
    list();
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!chosen().length || isTooLarge()) return list();
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/html");
    request.upload.addEventListener("progress", (sent) => {
      bar.max = sent.total;
      bar.value = sent.loaded;
      say(sent.loaded < sent.total ? `Sent ${sizeText(sent.loaded)} of ${sizeText(sent.total)}` : "Sent; the audit begins.");
    });
    const failed = (text) => { button.disabled = false; bar.hidden = true; say(text, "bad"); };
    request.addEventListener("error", () => failed("The files could not be sent. Are they too large, or is the connection gone?"));
    request.addEventListener("load", () => {
      if (request.status < 300 && request.responseURL) return location.assign(request.responseURL);
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      failed(page.querySelector("main .notice")?.textContent ?? `It was refused (${request.status}).`);
    });
    button.disabled = true;
    bar.hidden = false;
    request.send(new FormData(form));
  });
}

document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll("form[data-drop]")) droppable(form);
});
