"""The trial balance is zero whatever is posted, and each account says what it stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tollbook.chargeback.periods.trial_balance import Invoice, balance

AMOUNT = st.integers(-(10**30), 10**30)
PROVIDERS = st.sampled_from(["openai", "azure", "bedrock", "internal"])


@given(
    st.lists(st.tuples(st.sampled_from(["acme", "unknown", "platform"]), PROVIDERS, st.booleans(),
                       AMOUNT)),
    st.lists(st.builds(Invoice, PROVIDERS, st.sampled_from(["1", "2"]), AMOUNT)),
)  # fmt: skip
def test_debits_and_credits_are_equal(
    entries: list[tuple[str, str, bool, int]], invoices: list[Invoice]
) -> None:
    owners: dict[str, int] = {}
    own: dict[str, int] = {}
    late: dict[str, int] = {}
    for owner, provider, is_late, cost in entries:
        owners[owner] = owners.get(owner, 0) + cost
        side = late if is_late else own
        side[provider] = side.get(provider, 0) + cost
    found = balance(owners, own, late, invoices)
    assert found.total == 0
    payable = -sum(found.of("payable").values())
    assert payable == sum(one.amount for one in invoices)
    for provider in {one.provider for one in invoices}:
        assert f"accrual:{provider}" not in found.accounts
        billed = sum(one.amount for one in invoices if one.provider == provider)
        assert found.of("variance").get(provider, 0) == billed - own.get(provider, 0)
    assert sum(found.of("cost").values()) == sum(owners.values())


def test_an_invoice_that_agrees_leaves_no_variance() -> None:
    found = balance({"acme": 7, "unknown": 3}, {"openai": 9}, {"openai": 1},
                    [Invoice("openai", "INV-1", 9)])  # fmt: skip
    assert found.accounts == {
        "cost:acme": 7, "cost:unknown": 3, "payable:openai:INV-1": -9, "prior:openai": -1,
    }  # fmt: skip
