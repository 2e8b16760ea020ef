"""The true-up policy: to whom each cause of difference is booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from tollbook.books.documents import Subject, documents_at, put_document
from tollbook.chargeback.reconcile.errors import PolicyError
from tollbook.chargeback.reconcile.model import Cause

if TYPE_CHECKING:
    from tollbook.books.documents import Document
    from tollbook.books.store import Books

PROPORTIONAL: Final = "proportional"
"""To the tenants of the calls that the difference is about, by what these cost."""
UNATTRIBUTED: Final = "unattributed"
"""To nobody: allocation spreads it."""
KEEP: Final = "keep"
"""Not booked: it stays a variance between ledger and invoice."""
TENANT: Final = "tenant:"
"""With a name after it: to that tenant, such as the platform's own."""
DEFAULT_NAME: Final = "default"
BUILT_IN: Final = "built-in"

Target = Annotated[str, Meta(max_length=300)]

_OF_TENANTS: Final = frozenset([
    Cause.MISSING_USAGE, Cause.ESTIMATE, Cause.WRONG_CARD, Cause.MAPPING, Cause.DOUBLED,
    Cause.RETRIED, Cause.BOUNDARY, Cause.PROVIDER_GAP, Cause.FX,
])  # fmt: skip
"""Causes that are about calls whose tenants are known."""


class TrueUpPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Owners by cause; a document's name is a provider's, or ``default`` for all others."""

    causes: dict[Cause, Target] = {}
    """``proportional``, ``unattributed``, ``tenant:NAME`` or ``keep``; by default proportional
    where calls are wrong, unattributed where no call is charged."""
    own_keys: list[Annotated[str, Meta(min_length=1, max_length=300)]] = []
    """Keys and projects, as the provider's statements name them, that only Tollbook uses: usage on
    others is traffic that bypassed it. Empty: found by comparing."""

    def target(self, cause: Cause) -> str:
        """Return whose a cause is."""
        given = self.causes.get(cause)
        if given is not None:
            return given
        return PROPORTIONAL if cause in _OF_TENANTS else UNATTRIBUTED


def read_policy(name: str, body: str | bytes) -> TrueUpPolicy:
    """Return a policy from JSON.

    Raises:
        PolicyError: it is no policy.
    """
    try:
        policy = msgspec.json.decode(body, type=TrueUpPolicy)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise PolicyError(name, str(error)) from error
    for cause, target in policy.causes.items():
        is_tenant = target.startswith(TENANT) and len(target) > len(TENANT)
        if not is_tenant and target not in {PROPORTIONAL, UNATTRIBUTED, KEEP}:
            raise PolicyError(
                name,
                f"causes.{cause}: {target[:64]!r} is none of proportional, unattributed, keep, "
                "tenant:NAME",
            )
    return policy


def policy_at(books: Books, provider: str, at_ns: int) -> tuple[TrueUpPolicy, str]:
    """Return the policy of a provider at a time, and the id of its document.

    Raises:
        BooksError: the books cannot be read.
        PolicyError: what the books have is no policy.
    """
    held = documents_at(books, Subject.TRUE_UP_POLICY, at_ns)
    one = held.get(provider) or held.get(DEFAULT_NAME)
    if one is None:
        return TrueUpPolicy(), BUILT_IN
    return read_policy(one.name, one.body), one.document_id


def put_policy(
    books: Books, name: str, body: str, *, effective_from_ns: int, author: str | None, reason: str
) -> tuple[Document, bool]:
    """Keep a version of a policy.

    Raises:
        PolicyError: it is no policy.
        DocumentError: its name or reason is not allowed.
        BooksError: the books cannot be written.
    """
    policy = read_policy(name, body)
    return put_document(
        books, Subject.TRUE_UP_POLICY, name, msgspec.json.encode(policy, order="sorted").decode(),
        effective_from_ns=effective_from_ns, author=author, reason=reason,
    )  # fmt: skip
