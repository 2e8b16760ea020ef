"""Forms of budgets: set one, top up, stop an owner, take it back, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.console.pages.view import Field, Form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WINDOWS: Final = ("minute", "hour", "day", "week", "month")
OWNERS: Final = (
    "tenant", "user", "team", "feature", "workflow", "agent_run", "environment", "api_key", "model",
    "provider",
)  # fmt: skip
_REASON: Final = Field(name="reason", label="Reason", is_required=True,
                       help="Kept with the change, for whoever asks later.")  # fmt: skip


def rule_fields(given: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields of a rule, filled with what is given (texts, or settings of a budget)."""
    said = _said(given)
    return (
        Field(name="limit_usd", label="Limit in dollars", value=said("limit_usd"),
              placeholder="50.00", help="One of the limits."),
        Field(name="limit_tokens", label="or in tokens", value=said("limit_tokens")),
        Field(name="limit_requests", label="or in requests", value=said("limit_requests")),
        Field(name="limit_concurrent", label="or calls at once", value=said("limit_concurrent")),
        Field(name="each", label="One limit for each", value=said("each"), placeholder="tenant",
              help="tenant, user, team, feature, api_key, model ..., or several; empty: one for"
                   " all."),
        Field(name="match", label="Only calls with", value=said("match"),
              placeholder="tenant=trial-*"),
        Field(name="window", label="Window", kind="select", value=said("window") or "month",
              options=tuple((one, one) for one in _WINDOWS)),
        Field(name="rolling", label="Kind of window", kind="select",
              value="true" if said("rolling") in ("true", "True") else "",
              options=(("", "calendar"), ("true", "rolling"))),
        Field(name="timezone", label="Zone of the calendar", value=said("timezone") or "UTC"),
        Field(name="mode", label="At the limit", kind="select", value=said("mode") or "hard",
              options=(("hard", "refuse"), ("soft", "warn only"))),
        Field(name="steps", label="Steps before it", value=said("steps"),
              placeholder="80 rate 60, 90 model gpt-5-mini",
              help="Percent, then rate N (a minute), model NAME, or refuse."),
        Field(name="warn_at_percent", label="Warn at percent", value=said("warn_at_percent"),
              placeholder="80, 100"),
        Field(name="unknown_price", label="Calls of unknown price", kind="select",
              value=said("unknown_price") or "refuse",
              options=(("refuse", "refuse"), ("hold", "count as a fixed amount"))),
        Field(name="hold_usd", label="That amount in dollars", value=said("hold_usd"),
              placeholder="1"),
    )  # fmt: skip


def _said(given: Mapping[str, Any]) -> Any:
    def said(name: str) -> str | None:
        value = given.get(name)
        if value is None or value == "":
            return None
        if name == "steps" and not isinstance(value, str):
            return ", ".join(step_text(one) for one in value)
        if isinstance(value, dict):
            return ", ".join(f"{field}={pattern}" for field, pattern in value.items())
        if isinstance(value, (list, tuple)):
            return ", ".join(str(one) for one in value)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return said


def step_text(step: Mapping[str, Any]) -> str:
    """Return a step as it is written: ``80 rate 60``."""
    given = step.get("requests_per_minute") or step.get("model")
    return " ".join(str(one) for one in (step["at_percent"], step["action"], given) if one)


def editor(given: Mapping[str, Any], name: str | None) -> Form:
    """Return the form that sets a budget: a new one, or a new version."""
    named = (
        Field(name="name", label="Name", is_required=True, placeholder="per-tenant")
        if name is None
        else Field(name="name", label="Name", kind="hidden", value=name)
    )
    return Form(
        name="set", operation="budgets.set",
        title="New budget" if name is None else "Change it",
        note="In force within seconds, on all workers, without losing what was counted. What is"
             " left empty has its default; try it on past calls first.",
        fields=(named, *rule_fields(given), _REASON), submit="Set the budget", is_folded=True,
    )  # fmt: skip


def confirmed(given: Mapping[str, Any], name: str | None) -> Form:
    """Return the form that sets exactly the rule that was tried."""
    hidden = tuple(
        Field(name=one.name, label=one.label, kind="hidden", value=one.value)
        for one in rule_fields(given)
        if one.value not in (None, "")
    )
    named = (
        Field(name="name", label="Name", is_required=True, placeholder="per-tenant")
        if name is None
        else Field(name="name", label="Name", kind="hidden", value=name)
    )
    return Form(
        name="set", operation="budgets.set", title="Set this rule",
        fields=(named, *hidden, _REASON), submit="Set the budget",
        note="The rule as it was tried above.", then="/budgets",
    )  # fmt: skip


def top_up(name: str, unit: str, each: Sequence[str], owner: str | None) -> Form:
    """Return the form that gives an owner more."""
    fields = [Field(name="name", label="Budget", kind="hidden", value=name)]
    if each:
        fields.append(Field(name="owner", label=f"Owner ({', '.join(each)})", is_required=True,
                            value=owner))  # fmt: skip
    label = "Dollars more" if unit == "usd" else f"More {unit}"
    fields += [
        Field(name="amount", label=label, is_required=True, placeholder="10"),
        Field(name="expires", label="Until", placeholder="24h",
              help="A time, or so long from now (2h, 7d); empty: the window's end."),
        _REASON,
    ]  # fmt: skip
    return Form(
        name="top-up", operation="budgets.top_up", title="Top up an owner", fields=tuple(fields),
        submit="Top up", is_folded=True,
    )  # fmt: skip


def stop(field: str = "tenant", value: str | None = None) -> Form:
    """Return the form that stops an owner now."""
    return Form(
        name="stop", operation="budgets.stop", title="Stop somebody now",
        note="All calls of the owner are refused within a second, running streams are cut. It can"
             " be taken back here.",
        fields=(
            Field(name="field", label="What", kind="select", value=field,
                  options=tuple((one, one.replace("_", " ")) for one in OWNERS)),
            Field(name="value", label="Which", is_required=True, value=value, placeholder="acme"),
            Field(name="until", label="Until", placeholder="2h",
                  help="A time, or so long from now; empty: until it is resumed."),
            _REASON,
        ),
        submit="Stop", is_dangerous=True, is_folded=True,
    )  # fmt: skip


def resume(name: str) -> Form:
    """Return the form that takes a stop back."""
    return Form(
        name="resume", operation="budgets.resume", title="Let it go on", submit="Resume",
        fields=(Field(name="name", label="Stop", kind="hidden", value=name), _REASON),
        then="/budgets",
    )  # fmt: skip


def remove(name: str) -> Form:
    """Return the form that takes a budget out of force."""
    return Form(
        name="remove", operation="budgets.remove", title="Remove it", submit="Remove the budget",
        fields=(Field(name="name", label="Budget", kind="hidden", value=name), _REASON),
        is_dangerous=True, is_folded=True, then="/budgets",
    )  # fmt: skip
