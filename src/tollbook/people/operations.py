"""What can be asked of and done to people, their tokens, and the audit trail."""

from __future__ import annotations

from typing import Final

from tollbook.people import account_operations, audit_trail, token_operations

OPERATIONS: Final = (
    *account_operations.OPERATIONS,
    *token_operations.OPERATIONS,
    *audit_trail.OPERATIONS,
)
