"""Whose a line of a batch is: what the line says, over what its submission says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tollbook.call import IDENTITY_FIELDS, Conflict, Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

NOBODY: Final = Identity()
_KEY: Final = "virtual_key"
_MAX_CONFLICTS: Final = 16
_MAX_PROBLEMS: Final = 16
_MAX_TAGS: Final = 32


def line_owner(base: Identity, line: Identity | None) -> Identity:
    """Return the owner of a line.

    A line names its owner more closely than the headers of the request that submitted it, so it
    goes before them; but not before what a virtual key is bound to, which nothing may overrule.
    """
    if line is None:
        return base
    fields: dict[str, str | None] = {name: getattr(base, name) for name in IDENTITY_FIELDS}
    sources = dict(base.sources)
    conflicts = [*base.conflicts, *line.conflicts]
    for name in IDENTITY_FIELDS:
        value: str | None = getattr(line, name)
        if value is None or value == fields[name]:
            continue
        source = line.sources.get(name, "")
        if sources.get(name) == _KEY:
            conflicts.append(Conflict(name, str(fields[name]), _KEY, value, source))
        else:
            fields[name], sources[name] = value, source
    tags = dict(list({**base.tags, **line.tags}.items())[:_MAX_TAGS])
    return replace(
        base,
        **fields,
        tags=tags,
        sources=sources,
        conflicts=tuple(conflicts[:_MAX_CONFLICTS]),
        problems=(*base.problems, *line.problems)[:_MAX_PROBLEMS],
    )


def batch_owner(submitted: Identity | None, uploaded: Identity | None) -> Identity:
    """Return the owner of a whole batch: its submission's, completed by that of its file."""
    if submitted is None or uploaded is None:
        return submitted or uploaded or NOBODY
    missing = {
        name: value
        for name in IDENTITY_FIELDS
        if getattr(submitted, name) is None and (value := getattr(uploaded, name)) is not None
    }
    if not missing and submitted.tags:
        return submitted
    sources: Mapping[str, str] = {
        name: uploaded.sources[name] for name in missing if name in uploaded.sources
    }
    return replace(
        submitted,
        **missing,
        tags=submitted.tags or uploaded.tags,
        sources={**submitted.sources, **sources},
    )
