"""Rules, incidents and channels over the API, as commands and as forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.alerts.operations_channels import CHANNEL_OPERATIONS
from tollbook.alerts.operations_incidents import INCIDENT_OPERATIONS
from tollbook.alerts.operations_rules import RULE_OPERATIONS

if TYPE_CHECKING:
    from tollbook.desk import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *RULE_OPERATIONS,
    *INCIDENT_OPERATIONS,
    *CHANNEL_OPERATIONS,
)
