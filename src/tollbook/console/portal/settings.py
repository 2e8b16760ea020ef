"""What tenants are shown and how it looks: documents of the books, one for all or for a tenant.

The document of a tenant is taken whole: what it leaves out has the built-in value, not that of the
one for all, so that either can be read without the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from tollbook import clock
from tollbook.books.documents import Subject, documents_at, put_document
from tollbook.console.portal.colours import contrast, is_colour
from tollbook.console.portal.errors import PortalRequestError
from tollbook.console.portal.logo import check_logo
from tollbook.console.portal.numbers import LOCALES
from tollbook.console.portal.parts import ALL, Part
from tollbook.reports.zone import zone_of

if TYPE_CHECKING:
    from tollbook.books.documents import Document
    from tollbook.books.store import Books

DEFAULT: Final = "default"
TENANT_PREFIX: Final = "tenant:"
ANCESTORS_MAX: Final = 20
_NAME_CHARS_MAX: Final = 80
_CURRENCY_CHARS_MAX: Final = 8
_CONTRAST_MIN: Final = 4.5
"""Of text on its background (WCAG 2.2, 1.4.3)."""
_ORIGIN: Final = re.compile(
    r"https://(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?|http://(localhost|127\.0\.0\.1)(:\d{1,5})?"
)
_LIGHT_PAGE: Final = "#ffffff"
_DARK_PAGE: Final = "#16181d"


class PortalSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One portal."""

    name: str = "Usage"
    """Title of the page."""
    logo: str | None = None
    """A PNG, JPEG, GIF or WebP as a ``data:`` URL; at most 64 KiB."""
    accent: str = "#0b57d0"
    """Of links and bars on white, as ``#rrggbb``."""
    accent_dark: str = "#8ab4f8"
    """Of links and bars on black."""
    currency_text: str = "USD"
    """Stands beside amounts. They are US dollars whatever it says."""
    locale: str = "en"
    """How numbers are written: en, de, fr, es, it, nl, pl, pt, sv, ch, in, plain."""
    timezone: str = "UTC"
    """IANA zone of days and months, where the page's address names none."""
    parts: tuple[Part, ...] = tuple(Part)
    """What is shown; a token may open less."""
    shows_cost: bool = False
    """Whether the tenant sees what its calls cost us."""
    frame_ancestors: tuple[str, ...] = ()
    """Origins of pages that may embed it, such as ``https://app.example.com``; none by default."""


def settings_of(books: Books, tenant: str) -> PortalSettings:
    """Return the settings of a tenant's portal: its own, or those of all, or the built-in ones.

    Raises:
        BooksError: the books cannot be read.
    """
    held = documents_at(books, Subject.PORTAL, clock.unix_ns())
    document = held.get(f"{TENANT_PREFIX}{tenant}") or held.get(DEFAULT)
    if document is None:
        return PortalSettings()
    return msgspec.json.decode(document.body, type=PortalSettings)


def keep_settings(
    books: Books, tenant: str | None, settings: PortalSettings, *, reason: str, author: str | None
) -> tuple[Document, bool]:
    """Keep the settings of a tenant's portal, or (None) of all that have none of their own.

    Raises:
        PortalRequestError: a value that cannot be used.
        DocumentError: the tenant's name or the reason is not allowed.
        BooksError: the books cannot be written.
    """
    check(settings)
    name = DEFAULT if tenant is None else f"{TENANT_PREFIX}{tenant}"
    body = msgspec.json.encode(settings, order="deterministic").decode()
    return put_document(
        books, Subject.PORTAL, name, body, effective_from_ns=clock.unix_ns(),
        reason=reason, author=author,
    )  # fmt: skip


def check(settings: PortalSettings) -> None:
    """Refuse what would break the page, its security, or its legibility.

    Raises:
        PortalRequestError: naming the field.
    """
    _check_words("name", settings.name, _NAME_CHARS_MAX)
    _check_words("currency_text", settings.currency_text, _CURRENCY_CHARS_MAX)
    for field, page in (("accent", _LIGHT_PAGE), ("accent_dark", _DARK_PAGE)):
        colour = getattr(settings, field)
        if not is_colour(colour):
            raise PortalRequestError(field, f"{colour[:20]!r} is no colour such as #0b57d0")
        ratio = contrast(colour, page)
        if ratio < _CONTRAST_MIN:
            problem = f"{colour} on {page} has a contrast of {ratio:.1f}; text needs 4.5 (WCAG 2.2)"
            raise PortalRequestError(field, problem)
    if settings.logo is not None:
        check_logo(settings.logo)
    if settings.locale not in LOCALES:
        raise PortalRequestError("locale", f"expected one of {', '.join(LOCALES)}")
    zone_of(settings.timezone)
    if not settings.parts or not set(settings.parts) <= ALL:
        raise PortalRequestError("parts", f"expected some of {', '.join(Part)}")
    if len(settings.frame_ancestors) > ANCESTORS_MAX:
        raise PortalRequestError("frame_ancestors", f"expected at most {ANCESTORS_MAX}")
    for origin in settings.frame_ancestors:
        if not _ORIGIN.fullmatch(origin):
            problem = f"{origin[:80]!r} is no origin such as https://app.example.com"
            raise PortalRequestError("frame_ancestors", problem)


def _check_words(field: str, text: str, most: int) -> None:
    if not text.strip() or len(text) > most or not text.isprintable():
        raise PortalRequestError(field, f"expected 1 to {most} printable characters")
