"""Words of the API's document: what parameters, tags and errors mean."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

UNITS: Final = ("request", "run", "trace", "operation")

PARAMETERS: Final = MappingProxyType(
    {
        "since": "First moment: a date, a month, `7d`, `24h`, `today`, `month`, or ISO 8601. "
        "Default: the start of this month.",
        "until": "First moment left out, in the same words. Default: now.",
        "period": "A whole span instead of since and until: `2026-10`, `last-month`, `yesterday`.",
        "tz": "IANA zone of days, months and of times without an offset. Default: UTC.",
        "by": "Dimensions to group by, with commas between: `tenant`, `feature`, `model`, `day`, "
        "`tag:NAME` and others.",
        "where": "A filter: `tenant=acme,globex`, `status!=error`, `feature=` (not set). May be "
        "given several times; all must match.",
        "measures": "What is summed, with commas between; default: calls, tokens and cost_usd.",
        "order": "Dimensions or measures to sort by; `-` before a name is descending.",
        "limit": "Most rows; the rest is one row, so that rows add up to the totals.",
        "booked_before": "The ledger as it was at that moment.",
        "billing_period": "Only what belongs to that month as billed: `2026-10`.",
        "format": "`json` or `csv`; without it the Accept header decides.",
        "page_size": "So many rows at a time; totals stay those of all. Without it: all rows.",
        "cursor": "Page on: `next_cursor` of the page before, or the URL of its Link header.",
        "before": "Page on: `next_before` of the page before. The Link header has the whole URL.",
        "after": "Follow the ledger: the last entry id that was seen.",
        "states": "States of batches, with commas between.",
        "provider": "Only this provider's.",
        "show": "Which calls: how they were stitched.",
        "call_id": "Our id of a call, the provider's id of its response, or a request id.",
        "run_id": "Id of a run, of its trace, or of its request.",
        "unit": "What one is: a request, run, trace or operation.",
        "writers": "Names of spool writers, with commas between.",
        "writer": "Name of a spool writer.",
        "apply": "`true` books what is otherwise shown.",
        "reason": "Why; kept in the audit trail.",
        "author": "Who; default: who asks.",
        "kind": "Format of the files, where it cannot be told by content: `otlp-jsonl`, ...",
        "tenant_attribute": "An attribute that names the tenant here; may be given several times.",
        "tenant_pattern": "A regular expression that every tenant of this product matches.",
        "trusted_host": "A host of our own, which may receive identity.",
        "ignore": "A rule that is not used, such as `A14`.",
        "hash_names": "`true` replaces values of identity by hashes.",
        "show_names": "`true` leaves the names of tenants in HTML.",
        "full": "`true` adds the trace of each finding to JSON.",
    }
)

TAGS: Final = MappingProxyType(
    {
        "reports": "Questions to the ledger: rows, totals, completeness.",
        "ledger": "The state of the ledger, and its upkeep.",
        "finance": "Prices, statements, reconciliation, allocation, periods, exports, margin.",
        "budgets": "Limits, where each stands, what-if.",
        "insights": "Changes, forecasts, and where money can be saved.",
        "alerts": "Rules, incidents, channels.",
        "incidents": "What was found, and what was done about it.",
        "channels": "Where alerts are sent.",
        "people": "Accounts, sessions and tokens.",
        "account": "Of whoever asks.",
        "tokens": "API tokens.",
        "keys": "Virtual keys.",
        "audit": "Who saw, changed and exported what.",
        "sql": "Questions in SQL, for analysts.",
        "trace-audit": "Where other systems' traces and logs lose whose call it is.",
        "portal": "What one tenant sees of itself, and the tokens that open it.",
    }
)

ERRORS: Final = MappingProxyType(
    {
        "400": "A parameter or field is unknown, missing or wrong; `parameter` names it.",
        "401": "No token, or one that opens nothing.",
        "403": "The token does not hold the permit.",
        "404": "There is no such call, run, file or route.",
        "409": "A check ran and found a difference, or something else changed meanwhile.",
        "413": "The body is too large.",
        "414": "The query is too long.",
        "422": "A form could not be carried out.",
        "500": "A defect of Tollbook; the ledger's log has the details.",
        "503": "Too much is being worked on; repeat it in a minute.",
        "504": "The question took too long; ask for a shorter range.",
    }
)
