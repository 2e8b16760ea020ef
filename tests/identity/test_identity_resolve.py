"""Who wins, what is recorded, and what a call without a tenant gets."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.call import IDENTITY_FIELDS, Identity
from tollbook.config.identity import IdentitySettings, MissingTenant
from tollbook.identity import (
    Claims,
    KeyBinding,
    Mechanism,
    claims_from_key,
    missing_tenant_action,
    missing_tenant_help,
    resolve,
)


def resolved(*claims: Claims) -> Identity:
    return resolve(claims, api_key_id=None, default_environment="production")


def test_a_key_bound_tenant_wins_over_every_carrier_and_the_forgery_is_recorded() -> None:
    key = claims_from_key(KeyBinding(api_key_id="k1", tenant_id="acme"))
    baggage = Claims(Mechanism.BAGGAGE, {"tenant_id": "victim", "user_id": "u"})
    identity = resolve([baggage, key], api_key_id="k1", default_environment="production")
    assert (identity.tenant_id, identity.user_id, identity.api_key_id) == ("acme", "u", "k1")
    assert identity.sources == {
        "tenant_id": "virtual_key",
        "user_id": "baggage",
        "environment": "default",
    }
    (conflict,) = identity.conflicts
    assert (conflict.field, conflict.kept, conflict.refused) == ("tenant_id", "acme", "victim")
    assert (conflict.kept_source, conflict.refused_source) == ("virtual_key", "baggage")


def test_equal_claims_do_not_conflict() -> None:
    claims = [Claims(mechanism, {"tenant_id": "a"}) for mechanism in Mechanism]
    assert resolved(*claims).conflicts == ()


def test_tags_are_merged_and_their_conflicts_recorded() -> None:
    identity = resolved(
        Claims(Mechanism.LITELLM, tags={"plan": "free", "b": "2"}),
        Claims(Mechanism.BAGGAGE, tags={"plan": "gold", "a": "1"}),
    )
    assert identity.tags == {"plan": "gold", "a": "1", "b": "2"}
    assert [conflict.field for conflict in identity.conflicts] == ["tag.plan"]


def test_problems_of_all_carriers_are_visible() -> None:
    identity = resolved(Claims(Mechanism.BAGGAGE, problems=("a",)), Claims(Mechanism.LITELLM))
    assert identity.problems == ("a",)


def test_the_default_environment_is_a_default() -> None:
    assert resolved().environment == "production"
    named = resolved(Claims(Mechanism.BAGGAGE, {"environment": "test"}))
    assert (named.environment, named.sources["environment"]) == ("test", "baggage")


def test_an_identity_survives_the_spool() -> None:
    identity = resolved(Claims(Mechanism.BAGGAGE, {"tenant_id": "a"}, {"t": "v"}, ("p",)))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(identity), type=Identity)
    assert again == identity


_claims = st.builds(
    Claims,
    st.sampled_from(list(Mechanism)),
    st.dictionaries(st.sampled_from(IDENTITY_FIELDS), st.sampled_from("abc")),
    st.dictionaries(st.sampled_from("xyz"), st.sampled_from("abc")),
)


@settings(deadline=None)
@given(st.lists(_claims, max_size=6, unique_by=lambda claims: claims.mechanism), st.randoms())
def test_first_match_wins_whatever_order_they_come_in(claims: list[Claims], random: object) -> None:
    identity = resolved(*claims)
    shuffled = list(claims)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert resolved(*shuffled) == identity
    order = list(Mechanism)
    ordered = sorted(claims, key=lambda claim: order.index(claim.mechanism))
    for field in IDENTITY_FIELDS:
        named = [(claim.fields[field], claim) for claim in ordered if field in claim.fields]
        if named:
            assert getattr(identity, field) == named[0][0]
            assert identity.sources[field] == named[0][1].mechanism.value
            overruled = [value for value, _ in named[1:] if value != named[0][0]]
            recorded = [each.refused for each in identity.conflicts if each.field == field]
            assert recorded == overruled or len(identity.conflicts) == 16


@pytest.mark.parametrize(
    ("environment", "action"),
    [
        ("production", "serve"),
        ("PROD", "serve"),
        ("staging", "warn"),
        ("dev", "refuse"),
        ("test", "refuse"),
        ("eu-west", "warn"),
        (None, "warn"),
    ],
)
def test_missing_tenant_by_environment(environment: str | None, action: str) -> None:
    settings = IdentitySettings(missing_tenant=MissingTenant(other="warn"))
    assert missing_tenant_action(Identity(environment=environment), settings) == action
    with_tenant = Identity(environment=environment, tenant_id="a")
    assert missing_tenant_action(with_tenant, settings) == "serve"


def test_the_refusal_says_how_to_fix_it_and_why_a_value_was_not_used() -> None:
    text = missing_tenant_help(Identity(environment="test", problems=("baggage is odd",)))
    assert "\n" not in text
    for part in ("'test'", "tenant.id=", "x-tollbook-tenant", "baggage is odd"):
        assert part in text
