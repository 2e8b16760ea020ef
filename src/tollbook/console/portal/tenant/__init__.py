"""The only place below the portal that asks the ledger: always with one tenant's filter."""

from tollbook.console.portal.tenant.answers import TenantAnswers

__all__ = ["TenantAnswers"]
