"""The API's document, OpenAPI 3.1: what the framework knows of routes, and what operations say.

Routes of reports name their parameters; what each means is said here once. Operations have a
request Struct: its fields, their types and their docstrings become parameters or a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.console.openapi_bodies import BODIES
from tollbook.console.openapi_examples import ANSWERS, example_of, recorded_answers
from tollbook.console.openapi_fields import field_docs, first_words
from tollbook.console.openapi_words import ERRORS, PARAMETERS, TAGS, UNITS
from tollbook.console.paging import CURSOR, SIZE, SIZE_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.desk import Operation

Document = dict[str, Any]
PROBLEM: Final = "#/components/schemas/Problem"
ANSWER: Final = "#/components/schemas/Answer"
_REF: Final = "#/components/schemas/{name}"
_API: Final = "/api/v1"
_PROBLEM_SCHEMA: Final[Document] = {
    "type": "object",
    "description": "What went wrong, in one line that says what to do (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "description": "The words of the status."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What is wrong, and what to do."},
        "error": {"type": "string", "description": "Name of the kind of error; it stays."},
        "parameter": {"type": "string", "description": "Which parameter is wrong."},
        "exit_code": {"type": "integer", "description": "Of the command that says the same."},
    },
}
_ANSWER: Final[Document] = {
    "type": "object",
    "description": "The answer of an operation. Lists are in `rows`; amounts are decimal texts.",
    "properties": {"rows": {"type": "array", "items": {"type": "object"}}},
}
_SCHEMES: Final[Document] = {
    "bearer": {
        "type": "http", "scheme": "bearer",
        "description": "An API token, or the one in `console.token` of the data directory.",
    },
    "session": {
        "type": "apiKey", "in": "cookie", "name": "tollbook-session",
        "description": "Of somebody who has signed in with a browser.",
    },
    "portal": {
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "A token of one tenant's portal, made by POST /api/v1/portal/tokens.",
    },
}  # fmt: skip
_PAGING: Final = [
    {
        "name": SIZE, "in": "query", "required": False, "description": PARAMETERS[SIZE],
        "schema": {"type": "integer", "minimum": 1, "maximum": SIZE_MAX},
    },
    {
        "name": CURSOR, "in": "query", "required": False, "description": PARAMETERS[CURSOR],
        "schema": {"type": "string", "pattern": "^r[1-9][0-9]{0,8}$"},
    },
]  # fmt: skip
"""Of every route whose answer may have rows."""
_ETAG: Final[Document] = {
    "etag": {"schema": {"type": "string"}, "description": "Give it as If-None-Match next time."},
    "link": {"schema": {"type": "string"}, "description": "The next page, if there is one."},
}


def complete(made: Document, operations: Mapping[str, Operation]) -> Document:
    """Return the framework's document with what it does not know; the argument is changed.

    Args:
        made: the document of the framework.
        operations: by name.
    """
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    components["securitySchemes"] = _SCHEMES
    components["responses"] = {
        name: {
            "description": words,
            "content": {"application/problem+json": {"schema": {"$ref": PROBLEM}}},
        }
        for name, words in ERRORS.items()
    }
    schemas |= {"Problem": _PROBLEM_SCHEMA, "Answer": _ANSWER}
    made["security"] = [{"bearer": []}, {"session": []}]
    made["tags"] = [{"name": name, "description": words} for name, words in TAGS.items()]
    by_route = {(f"{_API}{one.path}", one.method.lower()): one for one in operations.values()}
    requests = _requests(operations, schemas)
    for path, item in made["paths"].items():
        for method, route in item.items():
            one = by_route.get((path, method))
            if one is not None:
                _say_operation(route, one, requests[one.name], schemas)
            else:
                _say_report(route)
            if f"{method.upper()} {path}" in BODIES:
                route.update(BODIES[f"{method.upper()} {path}"])
            _say_answers(route, method, path)
            route.pop("deprecated", None)
            route.setdefault("tags", ["ledger"])
    return made


def _requests(operations: Mapping[str, Operation], schemas: Document) -> dict[str, Document]:
    """Return the schema of each operation's request; what they refer to joins the schemas."""
    types = [one.request for one in operations.values()]
    refs, found = msgspec.json.schema_components(types, ref_template=_REF)
    names = {f"#/components/schemas/{name}": name for name in found}
    for one, ref in zip(operations.values(), refs, strict=True):
        schema = found[names[ref["$ref"]]]
        docs = field_docs(one.request)
        for name, field in schema.get("properties", {}).items():
            if name in docs and "$ref" not in field:
                field["description"] = docs[name]
    schemas |= found
    return {
        name: {"$ref": ref["$ref"], **found[names[ref["$ref"]]]}
        for name, ref in zip(operations, refs, strict=True)
    }


def _say_operation(route: Document, one: Operation, schema: Document, schemas: Document) -> None:
    route["summary"] = one.summary.rstrip(".")
    route["description"] = first_words(one.run) or one.summary
    route["tags"] = [_tag(one.name)]
    route["x-permit"] = str(one.needs)
    ref = schema.pop("$ref")
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if one.method == "GET":
        route["parameters"] = [
            {
                "name": name, "in": "query", "required": name in required,
                "description": field.get("description", name.replace("_", " ")),
                "schema": _of_query(field),
                **({"example": example_of(name, field, schemas)} if name in required else {}),
            }
            for name, field in properties.items()
        ]  # fmt: skip
        content: Document = {
            "application/json": {"schema": {"$ref": ANSWER}},
            "text/csv": {"schema": {"type": "string"}},
        }
        if one.file is None:
            route["parameters"] += _PAGING
        else:
            content = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
        route["responses"] = {"200": {"description": "The answer.", "content": content}}
        return
    example = {name: example_of(name, properties[name], schemas) for name in required}
    route["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": ref}, "example": example}},
    }
    route["responses"] = {
        "200": {
            "description": "What was done.",
            "content": {"application/json": {"schema": {"$ref": ANSWER}}},
        }
    }


def _of_query(field: Document) -> Document:
    """Return a field's schema as a query can have it: nothing is "null", it is left out."""
    schema = {name: value for name, value in field.items() if name != "description"}
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        del schema["anyOf"]
        schema = (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) | schema
    if schema.get("default", 0) is None:
        del schema["default"]
    return schema


def _tag(name: str) -> str:
    noun = name.partition(".")[0]
    return next((one for one in TAGS if one.rstrip("s") == noun.rstrip("s")), "finance")


def _say_report(route: Document) -> None:
    if any(one["name"] == "format" for one in route.get("parameters", [])):
        known = {one["name"] for one in route["parameters"]}
        route["parameters"] += [one for one in _PAGING if one["name"] not in known]
    for one in route.get("parameters", []):
        one["description"] = PARAMETERS.get(one["name"], one["name"].replace("_", " "))
        for name in ("deprecated", "allowEmptyValue", "allowReserved"):
            one.pop(name, None)
        schema = one["schema"]
        plain = [kind for kind in schema.get("oneOf", []) if kind.get("type") != "null"]
        one["schema"] = plain[0] if len(plain) == 1 else schema
        if one["name"] == "format":
            one["schema"] = {"type": "string", "enum": ["json", "csv"]}
        if one["name"] == "unit":
            one["schema"] = {"type": "string", "enum": list(UNITS)}
        if one["name"] in _EXAMPLES:
            one["example"] = _EXAMPLES[one["name"]]


_EXAMPLES: Final[Document] = {
    "since": "7d", "tz": "Europe/Berlin", "by": "tenant,model", "where": ["feature=search"],
    "limit": "10",
}  # fmt: skip


def _say_answers(route: Document, method: str, path: str) -> None:
    responses = route.setdefault("responses", {})
    for status in [one for one in responses if not one.startswith("2")]:
        del responses[status]
    for answer in responses.values():
        content = answer.setdefault("content", {})
        name = f"{method.upper()} {path}"
        example = ANSWERS.get(name) or recorded_answers().get(name)
        if example is not None and "application/json" in content:
            content["application/json"]["example"] = example
        takes_csv = any(one["name"] == "format" for one in route.get("parameters", []))
        if takes_csv:
            content.setdefault("text/csv", {"schema": {"type": "string"}})
        if path == "/portal/api/statement":
            answer["content"] = {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("application/pdf", "text/csv")
            }
        if method == "get" and path.startswith(("/api/v1/", "/portal/api/")):
            answer["headers"] = _ETAG
    if method == "get" and path != "/healthz":
        responses["304"] = {"description": "The caller has the answer (If-None-Match)."}
    if path == "/healthz":
        return
    for status in ERRORS:
        responses[status] = {"$ref": f"#/components/responses/{status}"}
