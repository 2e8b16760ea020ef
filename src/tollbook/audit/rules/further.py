"""What else makes sums of attribution wrong: counted twice, not priced, sampled, mixed up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.audit.rules.conflicts import Conversations, OneEnvironment, OneTenant
from tollbook.audit.rules.damage import Damage
from tollbook.audit.rules.duplicates import Answers, Fetched, RepeatedSpans
from tollbook.audit.rules.identity_kind import Cardinality, NoTenant
from tollbook.audit.rules.kinds_told import KindsTold
from tollbook.audit.rules.leaks import SentOut, Untrusted
from tollbook.audit.rules.lost_late import Batches, Unmeasured
from tollbook.audit.rules.price_rules import Costs, Models, Prices
from tollbook.audit.rules.retries import Attempts
from tollbook.audit.rules.sampling import Sampled
from tollbook.audit.rules.shared_keys import SharedKeys
from tollbook.audit.rules.time_rules import Times
from tollbook.audit.rules.usage_rules import Counts, Missing, Passes
from tollbook.audit.rules.wrappers import AgentSums, Wrappers

if TYPE_CHECKING:
    from tollbook.audit.settings import AuditSettings


def rules(settings: AuditSettings) -> list[Any]:
    """Return the rules of this module, made anew: some count."""
    return [
        OneTenant(),
        OneEnvironment(),
        Untrusted(),
        Wrappers(),
        AgentSums(),
        RepeatedSpans(),
        Fetched(),
        Attempts(),
        Counts(),
        Passes(),
        Missing(),
        Prices(),
        Costs(),
        Models(),
        Sampled(),
        SentOut(settings),
        NoTenant(settings),
        Batches(),
        Unmeasured(),
        Times(),
        Damage(),
        Conversations(),
        Answers(),
        Cardinality(),
        SharedKeys(),
        KindsTold(),
    ]
