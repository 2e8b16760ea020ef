"""The baggage reader: W3C Baggage, its limits, and bytes of any kind."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.identity import Claims, Mechanism, claims_from_headers
from tollbook.identity.names import BAGGAGE_KEYS
from tollbook.identity.values import MAX_PROBLEMS, MAX_TAGS


def read(*values: bytes) -> Claims:
    claims = claims_from_headers([(b"baggage", value) for value in values])
    assert len(claims) <= 1
    return claims[0] if claims else Claims(Mechanism.BAGGAGE)


def test_every_documented_key_names_its_field() -> None:
    keys = (
        b"tenant.id=t,user.id=u,team.id=m,cost.center=c,feature=f,workflow.id=w,"
        b"agent.run.id=a,workflow.step=s,environment=e,request.origin=scheduled,request.id=r"
    )
    assert read(keys).fields == {
        "tenant_id": "t",
        "user_id": "u",
        "team_id": "m",
        "cost_center": "c",
        "feature": "f",
        "workflow_id": "w",
        "agent_run_id": "a",
        "workflow_step": "s",
        "environment": "e",
        "request_origin": "scheduled",
        "request_id": "r",
    }
    assert read(b"cost_center=c").fields == {"cost_center": "c"}


def test_plus_is_itself_and_percent_is_decoded() -> None:
    claims = read(b"user.id=a+b%40example.com,tenant.id=M%C3%BCnchen%20Re")
    assert claims.fields == {"user_id": "a+b@example.com", "tenant_id": "München Re"}
    assert claims.problems == ()


def test_properties_and_white_space_are_not_part_of_a_value() -> None:
    claims = read(b" tenant.id =\tacme ;ttl=5;other , user.id=u\t")
    assert claims.fields == {"tenant_id": "acme", "user_id": "u"}


def test_all_headers_are_read_and_the_first_value_of_a_key_stays() -> None:
    claims = read(b"tenant.id=first", b"tenant.id=second,user.id=u")
    assert claims.fields == {"tenant_id": "first", "user_id": "u"}
    assert len(claims.problems) == 1
    assert "first was kept" in claims.problems[0]


def test_a_repeated_equal_value_is_no_problem() -> None:
    assert read(b"tenant.id=a", b"tenant.id=a").problems == ()


def test_other_keys_become_tags_and_their_number_is_bounded() -> None:
    claims = read(b",".join(b"k%d=v" % number for number in range(60)))
    assert len(claims.tags) == MAX_TAGS
    assert claims.tags["k0"] == "v"
    assert any("tags" in problem for problem in claims.problems)
    assert len(claims.problems) <= MAX_PROBLEMS + 1


def test_members_beyond_the_byte_limit_are_left_and_the_others_kept() -> None:
    filler = b",".join(b"k%04d=%s" % (number, b"v" * 190) for number in range(60))
    claims = read(b"tenant.id=acme," + filler)
    assert claims.fields == {"tenant_id": "acme"}
    assert all(value == "v" * 190 for value in claims.tags.values())
    assert "8192 bytes" in claims.problems[0]


def test_a_member_that_is_cut_by_the_limit_is_not_read_as_a_shorter_one() -> None:
    start = b"pad=" + b"x" * 8170
    assert read(start + b",tenant.id=acme-long-name").fields == {}


def test_members_beyond_the_count_limit_are_left() -> None:
    claims = read(b"a=1," * 180 + b"tenant.id=late")
    assert claims.fields == {}
    assert any("180 members" in problem for problem in claims.problems)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b"user.id=%7B%22device%22%3A1%7D", "JSON"),
        (b"user.id=", "empty"),
        (b"user.id=" + b"x" * 129, "129"),
        (b"user.id=a%0Ab", "character"),
        (b"user.id=a%00", "character"),
        (b"user.id=%3Dcmd", "character"),
        (b"user.id=%FF", "character"),
        (b"user.id=a b", "percent-encoded"),
        (b"user.id=m\xc3\xbc", "percent-encoded"),
        (b"request.origin=robot", "scheduled"),
        (b"user.id", "="),
        (b"user id=x", "key"),
    ],
)
def test_what_is_not_an_id_is_a_problem_and_no_owner(value: bytes, word: str) -> None:
    claims = read(value)
    assert claims.fields == {}
    assert word in claims.problems[0]


def test_a_problem_does_not_repeat_the_value() -> None:
    assert "hunter2" not in repr(read(b"user.id=%22hunter2,t=%22hunter2%00"))


def test_composed_and_decomposed_letters_are_one_tenant() -> None:
    assert read(b"tenant.id=Mu%CC%88nchen").fields == read(b"tenant.id=M%C3%BCnchen").fields


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_no_bytes_raise(values: list[bytes]) -> None:
    claims = read(*values)
    assert all(value.isprintable() and value for value in claims.fields.values())


_ids = st.from_regex(r"[\w/][\w .:@/|+~=&#-]{0,60}\w", fullmatch=True).filter(str.isascii)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(set(BAGGAGE_KEYS) - {"request.origin"})), _ids))
def test_what_was_written_is_read(members: dict[str, str]) -> None:
    by_field = {BAGGAGE_KEYS[key]: (key, value) for key, value in members.items()}
    by_field.pop("request_origin", None)
    header = ",".join(f"{key}={quote(value, safe='')}" for key, value in by_field.values())
    claims = read(header.encode())
    assert claims.fields == {field: value for field, (_, value) in by_field.items()}
    assert not claims.problems
