// Charts, the theme switch, questions before what cannot be undone, and the folded menu of small
// screens. Everything else works without this file.
"use strict";

const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

function colours() {
  const probe = document.body.appendChild(document.createElement("span"));
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const found = { text: colour("--text"), muted: colour("--muted"), line: colour("--line"), card: colour("--card"),
    series: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => colour(`--series-${n}`)) };
  probe.remove();
  return found;
}

function theme() {
  const { text, muted, line, series } = colours();
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent", font,
    view: { stroke: "transparent" },
    axis: { labelColor: muted, titleColor: muted, gridColor: line, domainColor: line, tickColor: line,
            labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
    legend: { labelColor: text, titleColor: muted, labelFontSize: 12, symbolType: "square" },
    text: { color: text },
    mark: { color: series[0] },
    range: { category: series },
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
  for (const part of element.clientWidth < 520 ? [whole, ...(whole.layer ?? [])] : []) {
    const legend = part.encoding?.color?.legend;
    if (legend) Object.assign(legend, { columns: 2, labelLimit: element.clientWidth / 2 - 60 });
  }
  // An interpreter instead of compiled expressions: the page forbids making code from text.
  await vegaEmbed(target, whole, { actions: false, ast: true, config: theme(), renderer: "svg",
    defaultStyle: false, tooltip: { disableDefaultStyle: true } });
  element.classList.add("is-drawn");
}

async function drawAll() {
  if (typeof vegaEmbed === "undefined") return;
  for (const element of document.querySelectorAll(".chart")) {
    try { await draw(element); } catch (error) { element.textContent = element.getAttribute("aria-label"); console.error(error); }
  }
  document.documentElement.dataset.drawn = "yes";
}

function themeSwitch(button) {
  const root = document.documentElement;
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches;
  const label = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
  };
  label();
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("tollbook-theme", root.dataset.theme); } catch { /* for this page only */ }
    label();
    drawAll();
  });
  systemDark.addEventListener("change", () => { label(); drawAll(); });
}

document.addEventListener("DOMContentLoaded", () => {
  const again_s = Number(document.body.dataset.refreshS);
  if (again_s) setTimeout(() => location.reload(), again_s * 1000);
  const button = document.querySelector("button.theme");
  if (button) themeSwitch(button);
  drawAll();
  for (const form of document.querySelectorAll("form[data-confirm]")) {
    form.addEventListener("submit", (event) => {
      if (!window.confirm(form.dataset.confirm)) event.preventDefault();
    });
  }
  for (const select of document.querySelectorAll("select[data-submit]")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
  const fold = document.querySelector("button.fold");
  if (fold && window.matchMedia("(max-width: 820px)").matches) {
    const turn = () => {
      const isFolded = fold.parentElement.classList.toggle("is-folded");
      fold.setAttribute("aria-expanded", String(!isFolded));
    };
    fold.hidden = false;
    fold.addEventListener("click", turn);
    turn();
  }
  const menu = document.querySelector("details.menu");
  menu?.addEventListener("toggle", () => document.body.classList.toggle("menu-open", menu.open));
});
