from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped] # it has no types
import pytest
from schemathesis.specs.openapi import definitions
from tests.portal.conftest import OWNER

from tollbook.desk.registry import operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.portal.conftest import Ledger


@pytest.fixture(scope="module")
def document(ledger: Ledger) -> dict[str, Any]:
    answer = ledger.get("/api/v1/openapi.json", OWNER)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/vnd.oai.openapi+json")
    found: dict[str, Any] = answer.json()
    return found


def routes(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, route in item.items():
            yield path, method, route


def test_it_is_openapi_3_1_by_the_schema_of_the_standard(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    jsonschema.Draft202012Validator(definitions.OPENAPI_31).validate(document)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for ref in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
        found: Any = document
        for part in ref.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/")]
        assert found


def test_every_schema_is_one(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_operation_is_a_route_with_its_permit(document: dict[str, Any]) -> None:
    for one in operations().values():
        route = document["paths"][f"/api/v1{one.path}"][one.method.lower()]
        assert route["summary"] == one.summary.rstrip("."), one.name
        assert route["x-permit"] == str(one.needs)
        fields = set(one.request.__struct_fields__)
        if one.method == "GET":
            paging = set() if one.file is not None else {"page_size", "cursor"}
            given = {name["name"] for name in route["parameters"]}
            assert given == fields | paging, one.name
        else:
            assert "example" in route["requestBody"]["content"]["application/json"], one.name


def test_every_route_says_what_it_takes_and_how_it_fails(document: dict[str, Any]) -> None:
    ids = [route["operationId"] for _, _, route in routes(document)]
    assert len(ids) == len(set(ids))
    for path, method, route in routes(document):
        assert route["description"], path
        assert set(route["tags"]) <= {tag["name"] for tag in document["tags"]}
        for given in route.get("parameters", []):
            assert given["description"], (path, given["name"])
        if path != "/healthz":
            needed = {"400", "401", "403", "404", "409", "422", "504"}
            assert needed <= set(route["responses"]), (path, method)
        if method == "get" and path != "/healthz":
            assert "304" in route["responses"]


def test_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    checked = 0
    for _, _, route in routes(document):
        bodies = [route["requestBody"]] if "requestBody" in route else []
        bodies += [one for one in route["responses"].values() if "content" in one]
        for body in bodies:
            for content in body["content"].values():
                if "example" in content:
                    schema = content["schema"] | {"components": document["components"]}
                    jsonschema.Draft202012Validator(schema).validate(content["example"])
                    checked += 1
    assert checked > 60


def test_there_are_three_ways_to_come_in(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"bearer", "session", "portal"}
    assert document["security"] == [{"bearer": []}, {"session": []}]
    for path, _, route in routes(document):
        if path.startswith("/portal/"):
            assert route["security"] == [{"portal": []}]


def test_errors_are_problem_documents(ledger: Ledger, document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["Problem"]
    for path, headers in (
        ("/api/v1/spend?by=x", {"authorization": f"Bearer {OWNER}"}), ("/api/v1/spend", {}),
        ("/api/v1/nope", {"authorization": f"Bearer {OWNER}"}), ("/portal/api/usage", {}),
        ("/api/v1/calls/x/explain", {"authorization": f"Bearer {OWNER}"}),
    ):  # fmt: skip
        answer = ledger.client.get(path, headers=headers)
        assert answer.headers["content-type"] == "application/problem+json", path
        jsonschema.Draft202012Validator(schema).validate(answer.json())
        assert answer.json()["status"] == answer.status_code


WITHOUT = {
    "/api/v1/allocations/preview", "/api/v1/allocations/diff", "/api/v1/periods/verify",
    "/api/v1/exports/show", "/api/v1/exports/evidence", "/api/v1/billing/status",
    "/api/v1/billing/log", "/api/v1/budgets/what-if", "/api/v1/incidents/show", "/api/v1/account",
}  # fmt: skip
"""Where a ledger of a minute has no answer: no policy, no export, no incident, nobody signed in."""


def test_every_read_has_the_answer_of_a_real_ledger_as_its_example(
    ledger: Ledger, document: dict[str, Any]
) -> None:
    examples = {
        path: route["responses"]["200"]["content"].get("application/json", {})
        for path, method, route in routes(document)
        if method == "get" and path.startswith("/api/v1/")
    }
    missing = {path for path, one in examples.items() if one and "example" not in one}
    assert missing == WITHOUT
    compared = 0
    for path, method, route in routes(document):
        if (
            method != "get"
            or "{" in path
            or path == "/api/v1/status"
            or "example" not in examples.get(path, {})
        ):
            continue
        if any(one.get("required") for one in route.get("parameters", ())):
            continue
        answer = ledger.get(path, OWNER, headers={"accept": "application/json"})
        if answer.status_code == 200 and "json" in answer.headers["content-type"]:
            example, today = examples[path]["example"], answer.json()
            assert example.keys() - {"next_cursor", "link"} == today.keys(), path
            compared += 1
    assert compared > 50
