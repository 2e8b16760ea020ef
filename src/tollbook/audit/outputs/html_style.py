"""The style of the report: light and dark, screens of 390 and 1440 pixels, and paper.

Contrast is at least that of WCAG AA in both themes; tests with a browser check it.
"""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root {
  color-scheme: light dark;
  --font: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace;
  --page: light-dark(#f6f7f9, #11161c); --card: light-dark(#ffffff, #1a2129);
  --text: light-dark(#18212b, #e6ebf0); --muted: light-dark(#56616e, #a3afbc);
  --line: light-dark(#dfe3e8, #313b46); --track: light-dark(#e6eaee, #2a333d);
  --accent: light-dark(#0b5c8a, #6cb8e6); --accent-soft: light-dark(#e3eff6, #1d3342);
  --good: light-dark(#17663a, #79d29b); --good-soft: light-dark(#e2f3e8, #173325);
  --warn: light-dark(#7a4a00, #f0c069); --warn-soft: light-dark(#fdf1da, #3a2e14);
  --bad: light-dark(#a3161d, #ff9a94); --bad-soft: light-dark(#fde7e7, #402022);
  --c1: light-dark(#2f7ab0, #5aa9e0); --c2: light-dark(#e0892a, #f0a552);
  --c3: light-dark(#3f9a63, #66c189); --c4: light-dark(#b0508f, #d57cb6);
  --c5: light-dark(#8067c2, #a592e3); --c6: light-dark(#c2534a, #e27f77);
  --c7: light-dark(#4aa6a6, #6fc7c7); --c8: light-dark(#a68a2d, #cdb255);
  --c9: light-dark(#6d7f94, #96a7ba);
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 var(--font); }
main { max-width: 1180px; margin: 0 auto; padding: 1.6rem 1.6rem 4rem; }
a { color: var(--accent); text-underline-offset: 2px; }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .4rem .8rem; z-index: 9; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .7rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
h4 { font-size: .87rem; margin: 1.2rem 0 .4rem; color: var(--muted); }
p { margin: .4rem 0; max-width: 80ch; overflow-wrap: anywhere; }
code, pre { font-family: var(--mono); font-size: .87em; overflow-wrap: anywhere; }
pre code { font-size: inherit; overflow-wrap: normal; }
pre { overflow-x: auto; margin: .4rem 0; padding: .8rem; background: var(--page);
  border: 1px solid var(--line); border-radius: 6px; overflow-wrap: normal; }
.muted { color: var(--muted); } .small { font-size: .87rem; } .nowrap { white-space: nowrap; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1rem 1.1rem; margin: .8rem 0; }
.top { display: grid; grid-template-columns: 250px minmax(0, 1fr); gap: 0 1rem;
  margin-top: 1.2rem; }
.score { text-align: center; display: flex; flex-direction: column; justify-content: center; }
.gauge { width: 100%; max-width: 210px; display: block; margin: 0 auto -3.2rem; }
.gauge path { fill: none; stroke-width: 12; stroke-linecap: round; }
.gauge .track { stroke: var(--track); } .gauge .good { stroke: var(--good); }
.gauge .warn { stroke: var(--c2); } .gauge .bad { stroke: var(--bad); }
.score .number { font-size: 2.3rem; font-weight: 700; line-height: 1.1; margin-bottom: .8rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr));
  gap: .8rem; margin: .8rem 0; }
.figures > div { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .7rem 1rem; }
.figures dt { color: var(--muted); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.35rem; font-weight: 650; overflow-wrap: anywhere; }
.figures dd.note { font-size: .85rem; font-weight: 400; color: var(--muted); }
dl { margin: 0; }
.notice { padding: .6rem .9rem; border-radius: 8px; margin: .8rem 0; max-width: none; }
.notice.good { background: var(--good-soft); color: var(--good); }
.notice.warn { background: var(--warn-soft); color: var(--warn); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); font-size: .87rem; padding-bottom: .4rem; }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { font-size: .8rem; color: var(--muted); font-weight: 600; vertical-align: bottom;
  overflow-wrap: normal; }
tbody th { font-weight: 500; }
table.causes th { overflow-wrap: break-word; }
tr:last-child > td, tr:last-child > th { border-bottom: 0; }
.number-cell { text-align: right; white-space: nowrap; }
svg.bar { display: block; width: 100%; height: 12px; }
svg.bar .track { fill: var(--track); } svg.stack { height: 26px; border-radius: 6px; }
.fill { fill: var(--c1); } .fill-bad { fill: var(--bad); } .fill-good { fill: var(--good); }
.barred { display: grid; grid-template-columns: minmax(0, 1fr) 45%; gap: .1rem 1rem;
  align-items: center; }
.timed { display: grid; grid-template-columns: minmax(0, 1fr) 5rem; gap: 0 .6rem;
  align-items: center; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
  gap: 0 1rem; align-items: start; }
.k1 { fill: var(--c1); } .k2 { fill: var(--c2); } .k3 { fill: var(--c3); } .k4 { fill: var(--c4); }
.k5 { fill: var(--c5); } .k6 { fill: var(--c6); } .k7 { fill: var(--c7); } .k8 { fill: var(--c8); }
.k9 { fill: var(--c9); } .k0 { fill: var(--bad); }
svg.dot { width: .75rem; height: .75rem; margin-right: .45rem; vertical-align: -.05rem; }
.tag { display: inline-block; padding: .05rem .55rem; border-radius: 99px; font-size: .8rem;
  background: var(--accent-soft); color: var(--text); white-space: nowrap; }
.tag.error { background: var(--bad-soft); color: var(--bad); }
.tag.warning { background: var(--warn-soft); color: var(--warn); }
.tag.good { background: var(--good-soft); color: var(--good); }
details.finding { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  margin: .8rem 0; }
details.finding > summary { cursor: pointer; padding: .8rem 1.1rem; display: grid;
  grid-template-columns: auto minmax(0, 1fr); gap: .15rem .8rem; align-items: baseline; }
details.finding[open] > summary { border-bottom: 1px solid var(--line); }
details.finding > summary .facts { grid-column: 2; }
details.finding > .inside { padding: .2rem 1.1rem 1.1rem; }
summary::-webkit-details-marker { display: none; }
details.finding > summary .more::before { content: "\\25B8  Show"; }
details.finding[open] > summary .more::before { content: "\\25BE  Hide"; }
.more { color: var(--accent); }
details.plain > summary { cursor: pointer; font-weight: 600; margin: .6rem 0; }
.hop { display: grid; grid-template-columns: minmax(0, 1fr) auto minmax(0, 1fr);
  gap: .8rem; align-items: center; margin: .8rem 0; }
.span-box { border: 2px solid var(--line); border-radius: 8px; padding: .6rem .8rem;
  height: 100%; overflow-wrap: anywhere; }
.span-box.seen { border-color: var(--good); } .span-box.missing { border-color: var(--bad);
  border-style: dashed; }
.span-box .is { font-size: .8rem; font-weight: 650; }
.seen .is { color: var(--good); } .missing .is { color: var(--bad); }
.crossing { text-align: center; color: var(--bad); font-size: .87rem; font-weight: 600;
  max-width: 8rem; }
.crossing svg { width: 56px; height: 20px; display: block; margin: 0 auto; }
.crossing path { stroke: currentColor; stroke-width: 2; fill: none; }
table.trace td, table.trace th { padding: .22rem .5rem; font-size: .87rem; }
table.trace col.of-name { width: 46%; } table.trace col.of-time { width: 54%; }
table.trace { table-layout: fixed; }
table.trace .service { color: var(--muted); }
table.trace svg.bar { height: 14px; }
tr.last-seen th { box-shadow: inset 4px 0 var(--good); }
tr.first-missing th, tr.affected th { box-shadow: inset 4px 0 var(--bad); }
tr.break td { background: var(--bad-soft); color: var(--bad); font-weight: 650;
  border-top: 2px dashed var(--bad); border-bottom: 2px dashed var(--bad); }
.d1 { padding-left: 1.3rem !important; } .d2 { padding-left: 2.1rem !important; }
.d3 { padding-left: 2.9rem !important; } .d4 { padding-left: 3.7rem !important; }
.d5 { padding-left: 4.5rem !important; } .d6 { padding-left: 5.3rem !important; }
.d7 { padding-left: 6.1rem !important; } .d8 { padding-left: 6.9rem !important; }
footer { margin-top: 2.4rem; color: var(--muted); font-size: .87rem; }
@media (max-width: 760px) {
  main { padding: 1rem .9rem 3rem; }
  .top { grid-template-columns: minmax(0, 1fr); }
  .hop { grid-template-columns: minmax(0, 1fr); }
  .crossing { max-width: none; }
  .crossing svg { transform: rotate(90deg); margin: 1.1rem auto 1.3rem; }
  .card { padding: .8rem; } details.finding > .inside { padding: .2rem .8rem .9rem; }
  details.finding > summary { padding: .7rem .8rem; grid-template-columns: minmax(0, 1fr); }
  details.finding > summary .tag { justify-self: start; }
  details.finding > summary .facts { grid-column: 1; }
  table.trace col.of-name { width: 62%; } table.trace col.of-time { width: 38%; }
  .d1 { padding-left: .8rem !important; } .d2 { padding-left: 1.2rem !important; }
  .d3 { padding-left: 1.6rem !important; } .d4 { padding-left: 2rem !important; }
  .d5 { padding-left: 2.4rem !important; } .d6 { padding-left: 2.8rem !important; }
  .d7 { padding-left: 3.2rem !important; } .d8 { padding-left: 3.6rem !important; }
  .scroll > table:not(.fits) { width: max-content; min-width: 100%; }
  .scroll > table:not(.fits) td { max-width: 15rem; }
  .roomy { display: none; } th, td { padding: .4rem .35rem; }
  .barred, .timed { grid-template-columns: minmax(0, 1fr); }
}
@media print {
  :root { color-scheme: light; }
  body { background: #fff; font-size: 11px; } main { padding: 0; max-width: none; }
  .skip, .more { display: none; }
  details::details-content { content-visibility: visible; display: block; }
  .card, .figures > div, .span-box, tr, pre { break-inside: avoid; }
  .scroll { overflow: visible; } a { color: inherit; text-decoration: none; }
  svg, .tag, .notice, tr.break td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
