"""What a page says, before anybody asks for HTML, JSON or CSV.

A page's function returns a :class:`View`; nothing on it is computed by templates or in the browser.
Amounts are the decimal texts of the reports, counts are integers, unknown is None.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Kind = Literal[
    "text", "id", "usd", "count", "percent", "time", "seconds", "bytes", "state", "share", "spark",
    "code", "name", "change", "rate", "amount", "usd_change", "ref",
]  # fmt: skip
"""How a value is shown.

``usd``: decimal text; ``percent``: decimal text or number of percent; ``time``: datetime or ISO
text; ``state``: a word with a colour; ``share``: 0 to 100, as a bar; ``spark``: a list of numbers
or None; ``id`` and ``code``: in a fixed font, whole; ``name``: of a tenant, a feature, ..., None is
"not set"; ``change``: percent with its sign; ``rate``: dollars for a million tokens;
``ref``: an id cut to its start, whole in its tooltip;
``amount``: dollars, but None is nothing to say rather than unknown; ``usd_change``: with its sign.
"""
Tone = Literal["plain", "good", "warn", "bad"]


class Column(Struct, frozen=True):
    """A column of a table."""

    name: str
    """Key in the rows."""
    label: str
    kind: Kind = "text"
    help: str | None = None
    sort: str | None = None
    """What ``order`` in the page's URL must be to sort by it; None: it cannot be sorted by."""


class Table(Struct, frozen=True, kw_only=True):
    """Rows that people compare. The first table of a page is what its ``.csv`` holds."""

    name: str
    """Of the table in JSON and ``?table=NAME`` of CSV; unique on its page."""
    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]
    """By column name. ``_links`` has URLs by column name, ``_tone`` a tone for the row, ``_depth``
    how far the first cell is indented; these are not in CSV."""
    title: str | None = None
    note: str | None = None
    """One sentence: what it is, or how it was computed."""
    total: dict[str, Any] | None = None
    empty: str = "Nothing in this range."
    """What is said where there are no rows; say what to do."""
    next_url: str | None = None
    previous_url: str | None = None
    search: str | None = None
    """Name of the URL's parameter that searches the rows; None: no search."""
    is_folded: bool = False
    """Shown once its title is opened: the twin of a chart, details."""


class Figure(Struct, frozen=True, kw_only=True):
    """One number at the head of a page."""

    label: str
    value: Any
    kind: Kind = "text"
    note: str | None = None
    tone: Tone = "plain"
    change_percent: str | None = None
    """Against what ``note`` or the page says."""
    url: str | None = None
    """The calls, or the page, behind it."""


class Figures(Struct, frozen=True, kw_only=True):
    """Numbers side by side."""

    items: tuple[Figure, ...]
    title: str | None = None


class Chart(Struct, frozen=True, kw_only=True):
    """A picture of a table that is on the same page, or of ``values`` of its own.

    ``spec`` is Vega-Lite without data and size; see :mod:`tollbook.console.pages.charts`.
    """

    name: str
    title: str
    spec: dict[str, Any]
    values: list[dict[str, Any]]
    summary: str
    """What it shows, in a sentence: for screen readers, and for print."""
    height: int = 260


class Notice(Struct, frozen=True, kw_only=True):
    """Something that must be known before a number is trusted, or that has just happened."""

    text: str
    tone: Tone = "warn"
    url: str | None = None
    action: str | None = None
    """Words of the link."""


class Text(Struct, frozen=True, kw_only=True):
    """Words, or exact text such as JSON or a shell command."""

    text: str
    title: str | None = None
    is_code: bool = False


class Field(Struct, frozen=True, kw_only=True):
    """A field of a form."""

    name: str
    """Of the operation's request."""
    label: str
    kind: Literal["text", "number", "date", "datetime-local", "select", "textarea", "checkbox",
                  "hidden", "password", "file"] = "text"  # fmt: skip
    value: Any = None
    options: tuple[tuple[str, str], ...] = ()
    """Of a select: value and label."""
    help: str | None = None
    is_required: bool = False
    placeholder: str | None = None
    suggestions: tuple[str, ...] = ()
    """Of a text: what may be meant; anything else can be written too."""
    is_list: bool = False
    """The text is split at commas and line ends into a list."""
    is_object: bool = False
    """The text is JSON or TOML of an object."""
    file_name: str | None = None
    """Of a file: the field of the request that its name goes to. Where ``name`` ends in ``_base64``
    the content is sent so, and may be anything but text."""
    is_multiple: bool = False
    """Of a file: several can be chosen."""
    max_bytes: int | None = None
    """Of all files together; the browser says so before it sends more."""

    @property
    def wire_name(self) -> str:
        """Name in the HTML form; says how the text is read, see :mod:`.deeds`."""
        if self.is_list or self.is_object:
            return self.name + ("[]" if self.is_list else "{}")
        return f"{self.name}|{self.file_name}" if self.file_name is not None else self.name


class Form(Struct, frozen=True, kw_only=True):
    """A form whose fields are the request of an operation; sent to ``/do/OPERATION``."""

    name: str
    """Unique on its page."""
    operation: str
    fields: tuple[Field, ...]
    submit: str
    title: str | None = None
    note: str | None = None
    is_dangerous: bool = False
    """Asks again before it is sent."""
    is_folded: bool = False
    """Shown once its title is opened."""
    shows_answer: bool = False
    """The answer is shown once it is done, instead of the page: secrets, and results."""
    then: str | None = None
    """Path to go to when it was done; None: the page that it is on."""
    drops: bool = False
    """Files can be dropped on it, and it shows how much was sent, where scripts run."""
    action: str | None = None
    """Path to send it to instead of the operation's, for what is no operation: signing out."""


class Grid(Struct, frozen=True, kw_only=True):
    """Sections side by side where there is room for it."""

    sections: tuple[Figures | Chart | Table | Text | Notice, ...]


Section = Figures | Chart | Table | Text | Form | Notice | Grid


class Choice(Struct, frozen=True):
    """A link among several: tabs, presets."""

    label: str
    url: str
    is_current: bool = False


class Choices(Struct, frozen=True):
    """A row of links of which one is in force: by provider or model, by day or week."""

    label: str
    choices: tuple[Choice, ...]


class Controls(Struct, frozen=True, kw_only=True):
    """What can be changed about a page, all of it in its URL."""

    has_range: bool = True
    has_filters: bool = True
    tabs: tuple[Choice, ...] = ()
    choices: tuple[Choices, ...] = ()
    fields: tuple[Field, ...] = ()
    """Further parameters of the page's URL."""


class View(Struct, frozen=True, kw_only=True):
    """One page."""

    title: str
    sections: tuple[Section, ...]
    subtitle: str | None = None
    command: str | None = None
    """The command that answers the same."""
    controls: Controls | None = None
    """None: the page has no range and no filters."""
    trail: tuple[Choice, ...] = ()
    """The pages above it."""
    actions: tuple[Choice, ...] = ()
    """Links beside the title."""
    completeness: Any = None
    """Of the report that the page is about; shown on top where something is missing."""
    tz: str = "UTC"
    """Zone that times are shown in."""
    refresh_s: int | None = None
    """After so many seconds the page loads itself again, where scripts run; None: it does not."""

    def flat(self) -> list[Figures | Chart | Table | Text | Form | Notice]:
        """Return the sections, those of grids in their place."""
        return [
            one
            for section in self.sections
            for one in (section.sections if isinstance(section, Grid) else (section,))
        ]
