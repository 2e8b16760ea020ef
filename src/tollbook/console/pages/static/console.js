// Charts, questions before what cannot be undone, and the folded menu of small screens. Everything
// else works without this file.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = style.getPropertyValue("--font").trim();
  return {
    background: "transparent", font,
    view: { stroke: "transparent" },
    axis: { labelColor: colour("--muted"), titleColor: colour("--muted"), gridColor: colour("--line"),
            domainColor: colour("--line"), tickColor: colour("--line"), labelFontSize: 12, titleFontSize: 12,
            titleFontWeight: "normal" },
    legend: { labelColor: colour("--text"), titleColor: colour("--muted"), labelFontSize: 12 },
    mark: { color: colour("--series-1") },
    range: { category: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => colour(`--series-${n}`)) },
  };
}

async function draw(element) {
  const { spec, values } = JSON.parse(element.querySelector("script").textContent);
  const target = element.querySelector(".drawn") || element.appendChild(document.createElement("div"));
  target.className = "drawn";
  const whole = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json", data: { values }, width: "container",
    height: Number(element.dataset.height), autosize: { type: "fit", contains: "padding" }, ...spec,
  };
  // An interpreter instead of compiled expressions: the page forbids making code from text.
  await vegaEmbed(target, whole, { actions: false, ast: true, config: theme(), renderer: "svg",
    defaultStyle: false, tooltip: { disableDefaultStyle: true } });
}

function drawAll() {
  if (typeof vegaEmbed === "undefined") return;
  for (const element of document.querySelectorAll(".chart")) draw(element);
}

document.addEventListener("DOMContentLoaded", () => {
  drawAll();
  dark.addEventListener("change", drawAll);
  for (const form of document.querySelectorAll("form[data-confirm]")) {
    form.addEventListener("submit", (event) => {
      if (!window.confirm(form.dataset.confirm)) event.preventDefault();
    });
  }
  const menu = document.querySelector("details.menu");
  menu?.addEventListener("toggle", () => document.body.classList.toggle("menu-open", menu.open));
});
