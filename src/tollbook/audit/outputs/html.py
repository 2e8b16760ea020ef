"""The report as one HTML file: nothing is loaded, nothing runs, and names are redacted.

It can be mailed: no script, no font, no picture from elsewhere, and a policy in the file itself
(Content Security Policy Level 3, ``meta`` element) that forbids browsers to fetch anything.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tollbook.audit.outputs import words
from tollbook.audit.outputs.html_findings import OPEN_MAX, Drawn, finding, overview
from tollbook.audit.outputs.html_read import about, inputs, troubles
from tollbook.audit.outputs.html_style import CSS
from tollbook.audit.outputs.html_summary import at_risk, by_mode, by_service, top
from tollbook.audit.outputs.html_waterfall import Palette
from tollbook.audit.outputs.markup import Html, el, join, style
from tollbook.audit.outputs.no_findings import nothing_found
from tollbook.audit.outputs.redaction import Redacted, Shown

if TYPE_CHECKING:
    from tollbook.audit.outputs.redaction import Names
    from tollbook.audit.report import Audit

_STYLE_HASH: Final = b64encode(sha256(CSS.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
)
"""Only our own style applies; whatever else would get into the file does nothing."""
_SHOWN_MAX: Final = 200
"""Findings drawn in full; the list names all."""


def html_text(audit: Audit, *, show_names: bool = False) -> str:
    """Return a report as a whole HTML document.

    Args:
        audit: the report.
        show_names: whether tenants have their own names instead of labels, and files their folders.
    """
    names: Names = Shown() if show_names else Redacted(audit)
    head = el(
        "head", el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", "Attribution audit \N{MIDDLE DOT} Tollbook"), style(CSS),
    )  # fmt: skip
    body = el(
        "body", el("a", "Skip to content", class_="skip", href="#main"),
        el("main", _content(audit, names), id="main", tabindex=-1),
    )  # fmt: skip
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _content(audit: Audit, names: Names) -> Html:
    return join(
        el("h1", "Attribution audit"), el("p", _sentence(audit), class_="muted"),
        _calls(audit, names) if audit.calls else _no_calls(audit, names),
        el("h2", "What was read"), inputs(audit, names), troubles(audit, names),
        el("div", about(audit, names), class_="card"),
        el("footer", f"Made {audit.made_at} by Tollbook {audit.version}. Amounts are US dollars. "
           "This file loads nothing and runs nothing."),
    )  # fmt: skip


def _sentence(audit: Audit) -> str:
    told = audit.defensibility
    where = words.count(len(audit.inputs), "input")
    if not audit.calls:
        return f"{words.count(audit.spans, 'span')} in {where}."
    return (
        f"{words.count(audit.calls, 'call')} to models in {words.count(audit.traces, 'trace')} of "
        f"{where}. {words.usd(told.at_risk_pico)} of {words.usd(told.cost_pico)} could not be "
        "defended."
    )


def _no_calls(audit: Audit, names: Names) -> Html:
    why = "No span was read." if not audit.spans else "None of the spans is a call to a model."
    what = (
        "A call is a span with gen_ai attributes, or those of OpenLLMetry, OpenInference, OpenLIT, "
        "Langfuse, LiteLLM or the Vercel AI SDK, or a line of a gateway's log."
    )
    said = el("p", f"There is nothing to judge. {why} {what}", class_="notice warn")
    drawn = Drawn(names, Palette(), audit.defensibility.score_millis)
    return said if not audit.findings else join(said, _findings(audit, drawn))


def _calls(audit: Audit, names: Names) -> Html:
    drawn = Drawn(names, Palette(), audit.defensibility.score_millis)
    return join(
        top(audit), el("h2", "At risk, by cause"), at_risk(audit.defensibility, names),
        el("div", by_mode(audit) if audit.findings else None, by_service(audit, names),
           class_="pair"),
        el("h2", "Findings"), _findings(audit, drawn),
    )  # fmt: skip


def _findings(audit: Audit, drawn: Drawn) -> Html:
    found = audit.findings
    if not found:
        asked = f"every rule but {', '.join(audit.ignored)}" if audit.ignored else "every rule"
        told = audit.defensibility
        tone = "notice good" if told.defensible_calls == told.calls else "notice"
        return el("p", f"{nothing_found(audit)} The audit asked {asked}.", class_=tone)
    more = None
    if len(found) > _SHOWN_MAX:
        left = words.count(len(found) - _SHOWN_MAX, "finding")
        more = el("p", f"{left} more stand in the list alone; the JSON has all.", class_="muted")
    parts = [
        finding(one, drawn, is_open=number < OPEN_MAX)
        for number, one in enumerate(found[:_SHOWN_MAX])
    ]
    return join(overview(found, drawn, _SHOWN_MAX), parts, more)
