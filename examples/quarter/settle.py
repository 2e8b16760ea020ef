"""Three months of a finance team: reconcile, true up, allocate, close; and what has to come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from examples.quarter.bills import usd
from examples.quarter.cards import found_after_the_close, learnt_in_august
from examples.quarter.house import pico
from examples.quarter.plants import CREDITS, MISSING_USAGE_DAY, TAXES, WRONG_CARD_MONTH
from examples.quarter.truth import capacity_of
from examples.quarter.world import MONTHS, PLATFORM, PROVIDERS, PROVISIONED
from tollbook.money import usd_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from examples.quarter.house import House
    from examples.quarter.truth import Truth

GATEWAY_COST: Final = 1_234_560_000_000_000
"""Pico: what the company's own gateways cost in a month."""
POLICY: Final = {
    "description": "What is nobody's by direct cost, what is the platform's by calls.",
    "rules": [
        {
            "name": "unattributed", "source": {"unattributed": True},
            "method": {"type": "proportional"}, "to": {"exclude": [PLATFORM]},
        },
        {
            "name": "platform", "source": {"where": [f"tenant={PLATFORM}"]},
            "method": {"type": "metric", "metric": "calls"}, "to": {"exclude": [PLATFORM]},
        },
    ],
}  # fmt: skip


class Finding(NamedTuple):
    """One thing that had to come out, and what came out; amounts in pico."""

    what: str
    expected: object
    found: object

    @property
    def holds(self) -> bool:
        """Whether it came out."""
        return self.expected == self.found


def terms_text(units: int, tokens_per_minute: int) -> str:
    """Return Azure's capacity as a term, JSON."""
    return json.dumps({
        "terms": [{
            "name": "azure-ptu", "provider": "azure", "model": PROVISIONED,
            "start": "2026-07-01T00:00:00Z", "description": "Provisioned throughput, by the hour.",
            "what": {
                "type": "capacity", "units": units, "price_per_unit_usd": "0.40", "per": "hour",
                "tokens_per_minute_per_unit": tokens_per_minute,
            },
        }],
    })  # fmt: skip


class Settlement:
    """Takes the steps and keeps what they gave beside what had to come."""

    def __init__(self, house: House, truth: Truth, bills: list[Path]) -> None:
        self._house, self._truth, self._bills = house, truth, bills
        self.findings: list[Finding] = []

    def expect(self, what: str, expected: object, found: object) -> None:
        """Keep a finding."""
        self.findings.append(Finding(what, expected, found))

    def statements(self) -> None:
        """Import every statement twice, and type in the invoices."""
        for again in (False, True):
            for path in self._bills:
                answer = self._house.do(
                    "statements.import", file_name=path.name, content=path.read_text(),
                    provider=path.name.split("-")[0], final=True,
                )  # fmt: skip
                fresh = [row["new"] for row in answer["rows"]]
                self.expect(f"{path.name} is new{' again' if again else ''}", [not again], fresh)
        for month in MONTHS:
            for provider in PROVIDERS:
                key = (provider, month)
                given: dict[str, Any] = {
                    "provider": provider, "period": month, "invoice_id": f"INV-{provider}-{month}",
                    "amount": usd(self._truth.invoice(*key)),
                }  # fmt: skip
                if key in CREDITS:
                    given["credit"] = usd(CREDITS[key])
                if key in TAXES:
                    given["tax"] = usd(TAXES[key])
                self._house.do("statements.invoice", **given)

    def month(self, month: str) -> None:
        """Take a month from open to closed."""
        house = self._house
        if month == "2026-08":
            self._learn()
        house.do("terms.apply", period=month)
        self._capacity(month)
        runs = house.do("reconcile.run", period=month)
        for provider in PROVIDERS:
            self._causes(runs, provider, month)
        house.do("reconcile.true-up", period=month, apply=True)
        again = house.do("reconcile.true-up", period=month, apply=True)
        self.expect(f"{month}: a second true-up books", [], again["adjustment_ids"])
        house.do("allocate.cost", period=month, name="gateways", amount=usd_text(GATEWAY_COST))
        house.do("allocate.run", period=month, policy="shared")
        house.do("periods.step", period=month, to="reconciled")
        house.do("periods.step", period=month, to="allocated")
        house.do("periods.seal", period=month, by="controller")
        self._closed(month)

    def _learn(self) -> None:
        """In August it is heard that a model has become cheaper: what was booked is rated anew."""
        house = self._house
        house.do(
            "prices.import", text=learnt_in_august(), file="august.toml", reason="price change"
        )
        until = {"since": "2026-08-01", "until": "2026-10-01"}
        shown = house.rerate(**until)
        booked = house.rerate(**until, apply="true", reason="price change of 16 August")
        self.expect(
            "restated as previewed", shown["totals"]["change_usd"], booked["totals"]["change_usd"]
        )
        for month in MONTHS[1:]:
            self.expect(
                f"{month}: openai's calls at the new price", self._truth.booked["openai", month],
                self._direct(month, "openai"),
            )  # fmt: skip

    def _capacity(self, month: str) -> None:
        found = self._house.total(
            period=month, by="adjustment", where="provider=azure", measures="cost_usd"
        ) - self._direct(month, "azure")
        self.expect(f"{month}: azure's capacity, used and idle", capacity_of(month), found)

    def _causes(self, runs: Mapping[str, Any], provider: str, month: str) -> None:
        (row,) = (row for row in runs["rows"] if row["provider"] == provider)
        (detail,) = (one for one in runs["runs"] if one["run_id"] == row["run_id"])
        found = {one["cause"]: pico(one["amount_usd"]) for one in detail["causes"]}
        planted = dict(self._truth.causes(provider, month))
        self.expect(f"{month} {provider}: causes", planted, found)
        self.expect(
            f"{month} {provider}: billed", self._truth.invoice(provider, month),
            pico(row["billed_usd"]),
        )  # fmt: skip
        if (provider, month) == ("anthropic", MISSING_USAGE_DAY.strftime("%Y-%m")):
            answer = self._house.do(
                "reconcile.differences", period=month, provider=provider, cause="provider_gap"
            )
            days = sorted({row["since"][:10] for row in answer["rows"]})
            self.expect(f"{month} {provider}: day without usage", [str(MISSING_USAGE_DAY)], days)

    def _closed(self, month: str) -> None:
        house, truth = self._house, self._truth
        for provider in PROVIDERS:
            self.expect(
                f"{month} {provider}: as billed, the ledger is the invoice",
                truth.invoice(provider, month), self._as_billed(month, f"provider={provider}"),
            )  # fmt: skip
        owners = self._owners(month)
        invoices = sum(truth.invoice(provider, month) for provider in PROVIDERS)
        self.expect(f"{month}: owners' sum", invoices + GATEWAY_COST, sum(owners.values()))
        self.expect(f"{month}: left with nobody", 0, owners.get(None, 0))
        self.expect(f"{month}: left with the platform", 0, owners.get(PLATFORM, 0))
        balance = house.do("periods.trial_balance", period=month)
        self.expect(f"{month}: trial balance", 0, pico(balance["difference_usd"]))
        self.expect(f"{month}: seal", [], house.do("periods.verify", period=month)["rows"])

    def late_correction(self) -> None:
        """With July closed, the page of the contract is found that made its card wrong."""
        house = self._house
        before = self._owners(WRONG_CARD_MONTH)
        house.do(
            "prices.import", text=found_after_the_close(), file="contract.toml",
            reason="page 7 of the contract",
        )  # fmt: skip
        house.rerate(since="2026-07-01", until="2026-08-01", apply="true", reason="page 7")
        runs = house.do("reconcile.run", period=WRONG_CARD_MONTH, provider="anthropic")
        causes = {one["cause"] for run in runs["runs"] for one in run["causes"]}
        self.expect("July's card is right now", {"rounding"}, causes)
        house.do("reconcile.true-up", period=WRONG_CARD_MONTH, provider="anthropic", apply=True)
        self.expect("July as billed stands", before, self._owners(WRONG_CARD_MONTH))
        found = house.do("periods.verify", period=WRONG_CARD_MONTH)
        self.expect("July's seal holds", [], found["rows"])
        late = self._as_billed("2026-08", "provider=anthropic", until="2026-08-01")
        self.expect("what August bears of July comes to nothing", 0, late)
        known = house.total(
            since="2026-07-01", until="2026-08-01", by="provider", where="provider=anthropic"
        )
        self.expect(
            "July as known now is the invoice", self._truth.invoice("anthropic", "2026-07"), known
        )

    def _direct(self, month: str, provider: str) -> int:
        """Return the dollars of calls alone."""
        found = self._house.spend(period=month, by="adjustment,provider")
        return found.get((None, provider), 0)

    def _as_billed(self, month: str, where: str, until: str = "2026-10-01") -> int:
        return self._house.total(
            since="2026-07-01", until=until, billing_period=month, by="provider", where=where
        )

    def _owners(self, month: str) -> dict[str | None, int]:
        found = self._house.spend(
            since="2026-07-01", until="2026-10-01", billing_period=month, by="tenant"
        )
        return {tenant: amount for (tenant,), amount in found.items() if amount}
