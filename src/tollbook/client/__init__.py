"""Ask Tollbook from Python: typed answers, errors that say what to do.

>>> from tollbook.client import Client
>>> with Client("http://127.0.0.1:8321", token) as tollbook:  # doctest: +SKIP
...     for row in tollbook.spend(by=["tenant"], since="7d").rows:
...         print(row["tenant"], row["cost_usd"])
"""

from tollbook.client.answers import (
    Budgets,
    Call,
    Calls,
    Completeness,
    Explanation,
    Export,
    Incidents,
    Periods,
    PortalToken,
    Row,
    Run,
    Runs,
    Share,
    Spend,
    usd,
)
from tollbook.client.client import AsyncClient, Client
from tollbook.client.errors import (
    ApiError,
    ApiUnreachableError,
    NotAllowedError,
    NotFoundError,
    UnexpectedAnswerError,
    WrongQuestionError,
)

__all__ = [
    "ApiError", "ApiUnreachableError", "AsyncClient", "Budgets", "Call", "Calls", "Client",
    "Completeness", "Explanation", "Export", "Incidents", "NotAllowedError",
    "NotFoundError", "Periods", "PortalToken", "Row", "Run", "Runs", "Share", "Spend",
    "UnexpectedAnswerError", "WrongQuestionError", "usd",
]  # fmt: skip
