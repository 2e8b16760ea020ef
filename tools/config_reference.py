"""Write docs/configuration.md from the settings' own types, defaults and descriptions.

``python tools/config_reference.py`` writes it; a test fails when it is out of date.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import msgspec

from tollbook.config import (
    batch,
    budgets,
    budgets_shared,
    credentials,
    export,
    finance,
    identity,
    people,
    receiver,
    routes,
    schema,
    statements,
    tagging,
)

TARGET = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
INTRO = """# Configuration

Everything works without a file: `tollbook up` serves each of the [known
providers](../README.md#providers) whose key is in its usual variable. Settings are read from
`tollbook.toml` in the working directory (or `--config FILE`); each is also a variable
`TOLLBOOK_SECTION__NAME`, which goes first: `TOLLBOOK_GATEWAY__PORT=9000`,
`TOLLBOOK_PROVIDERS__VLLM__BASE_URL=http://10.0.0.5:8000`. A setting that does not exist or has a
wrong value is refused with the file or variable, the key and what was expected.

<!-- Written by tools/config_reference.py: change the schema, not this page. -->
"""
SECTIONS: list[tuple[str, Any]] = [
    ("[gateway]", schema.Gateway),
    ("[providers.NAME]", schema.Provider),
    ("[[providers.NAME.api_keys]]", credentials.KeySource),
    ("[providers.NAME.tags]", tagging.Tags),
    ("[routes.NAME]", routes.ModelRoute),
    ("[[routes.NAME.targets]]", routes.RouteTarget),
    ("[routes.NAME.breaker]", routes.Breaker),
    ("[identity]", identity.IdentitySettings),
    ("[identity.missing_tenant]", identity.MissingTenant),
    ("[store]", schema.Store),
    ("[spool]", schema.Spool),
    ("[ledger]", schema.Ledger),
    ("[console]", people.Console),
    ("[oidc]", people.Oidc),
    ("[receiver]", receiver.Receiver),
    ("[batch]", batch.Batch),
    ("[finance]", finance.Finance),
    ("[export]", export.Export),
    ("[export.providers.NAME]", export.ExportProvider),
    ("[statements]", statements.Statements),
    ("[statements.fetch.NAME]", statements.FetchSource),
    ("[[prices]]", schema.PriceCard),
    ("[[budgets]]", budgets.Budget),
    ("[budgets_shared]", budgets_shared.BudgetsShared),
]


def descriptions(struct: type) -> dict[str, str]:
    """Return the text under each field of a struct's source."""
    (node,) = ast.parse(inspect.getsource(struct)).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for at, statement in enumerate(node.body[:-1]):
        below = node.body[at + 1]
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[statement.target.id] = " ".join(str(below.value.value).split())
    return found


def shown_type(kind: Any) -> str:
    """Return a type in words for the table."""
    info = msgspec.inspect.type_info(kind)
    options = list(info.types) if isinstance(info, msgspec.inspect.UnionType) else [info]
    words = []
    for one in options:
        match one.type if isinstance(one, msgspec.inspect.Metadata) else one:
            case msgspec.inspect.LiteralType(values=values):
                words += [f"`{value}`" for value in values]
            case msgspec.inspect.NoneType():
                words.append("unset")
            case msgspec.inspect.BoolType():
                words.append("true or false")
            case msgspec.inspect.IntType():
                words.append("whole number")
            case msgspec.inspect.FloatType() | msgspec.inspect.DecimalType():
                words.append("number")
            case msgspec.inspect.StructType() | msgspec.inspect.DictType():
                words.append("section")
            case msgspec.inspect.StrType():
                words.append("text")
            case msgspec.inspect.ListType():
                words.append("list")
            case _:
                words.append("date or text")
    return ", ".join(dict.fromkeys(words))


def shown_default(field: msgspec.structs.FieldInfo) -> str:
    """Return a default for the table."""
    if field.required:
        return "required"
    if callable(field.default_factory) and field.default_factory is not list:
        made = field.default_factory()
        is_section = isinstance(made, (msgspec.Struct, dict))
        return "" if is_section else f"`{msgspec.json.encode(made).decode()}`"
    if field.default is msgspec.NODEFAULT or field.default is None:
        return ""
    return f"`{msgspec.json.encode(field.default).decode()}`"


def render() -> str:
    """Return the whole page."""
    parts = [INTRO]
    for title, struct in SECTIONS:
        summary = inspect.getdoc(struct) or ""
        text = " ".join(summary.partition(": ")[2].split())
        parts.append(f"## `{title}`\n\n{text[:1].upper()}{text[1:]}\n")
        parts.append("| setting | type | default | meaning |\n| --- | --- | --- | --- |")
        meanings = descriptions(struct)
        rows = [
            f"| `{field.name}` | {shown_type(field.type)} | {shown_default(field)} "
            f"| {meanings.get(field.name, '')} |"
            for field in msgspec.structs.fields(struct)
        ]
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
