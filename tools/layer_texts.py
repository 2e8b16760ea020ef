"""Texts of many kinds, written for this purpose, from which requests are made to measure layers."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

MATERIAL: Final = Path(__file__).resolve().parent / "layer_material"
"""A file for each kind: sentences, or templates of code and logs, between lines of dashes."""

LANGUAGES: Final = (
    "english", "german", "french", "russian", "chinese", "japanese", "korean", "arabic",
)  # fmt: skip
CODE: Final = ("python", "typescript", "sql")
DATA: Final = ("json", "log", "table")
_WORDS: Final = (
    "invoice", "customer", "order", "shipment", "account", "session", "ticket", "refund", "product",
    "warehouse", "payment", "region", "supplier", "message", "document", "schedule", "report",
    "tenant", "budget", "threshold", "temperature", "priority", "address", "quantity", "currency",
)  # fmt: skip


def _pieces(kind: str) -> list[str]:
    return (MATERIAL / f"{kind}.txt").read_text("utf-8").split("---\n")


def _filled(kind: str) -> Callable[[random.Random], str]:
    templates = _pieces(kind)
    return lambda rng: _fill(rng.choice(templates), rng)


def _fill(template: str, rng: random.Random) -> str:
    a, b, c = rng.sample(_WORDS, 3)
    return template.format(
        a=a, b=b, c=c, A=a.title(), B=b.title(), n=rng.randint(10, 900), d=rng.randint(1, 8)
    )


def _sentence(language: str) -> Callable[[random.Random], str]:
    sentences = [piece.strip() for piece in _pieces(language)]

    def make(rng: random.Random) -> str:
        return rng.choice(sentences) + rng.choice((" ", " ", " ", "\n\n"))

    return make


def record(rng: random.Random) -> dict[str, Any]:
    """Return an object such as an API answers with."""
    a, b, c = rng.sample(_WORDS, 3)
    return {
        "id": f"{a[:3]}_{rng.getrandbits(64):016x}",
        f"{b}_name": _MAKERS["english"](rng).strip()[:40],
        f"{c}Total": round(rng.random() * 1000, 2),
        "status": rng.choice(("active", "pending", "closed")),
        "created_at": f"2026-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T08:30:00Z",
        "tags": rng.sample(_WORDS, 2),
        "is_archived": rng.random() < 0.5,  # noqa: PLR2004 -- a coin
    }


def _json_text(rng: random.Random) -> str:
    indent = rng.choice((None, 2))
    return json.dumps(record(rng), indent=indent, ensure_ascii=False) + ",\n"


def _table(rng: random.Random) -> str:
    cells = [rng.choice(_WORDS), f"{rng.random() * 10000:.2f}", str(rng.randint(1, 99))]
    return "| " + " | ".join(cells) + " |\n"


_MAKERS: Final[dict[str, Callable[[random.Random], str]]] = {
    **{language: _sentence(language) for language in LANGUAGES},
    **{kind: _filled(kind) for kind in (*CODE, "log")},
    "json": _json_text,
    "table": _table,
}
KINDS: Final = tuple(_MAKERS)
_LOCALES: Final = {
    "german": "de", "french": "fr", "russian": "ru", "chinese": "zh_Hans", "japanese": "ja",
    "korean": "ko", "arabic": "ar",
}  # fmt: skip
_SUFFIXES: Final = {"python": "*.py", "typescript": "*.js", "json": "*.json", "english": "*.rst"}
_FILES_MAX: Final = 400
_PIECE_CHARS: Final = 120


@contextmanager
def of_files(folder: Path) -> Iterator[None]:
    """Take texts from the files below a folder, where it has any of that kind."""
    before = dict(_MAKERS)
    for kind, pattern in _SUFFIXES.items():
        _take(kind, sorted(folder.rglob(pattern)))
    _take("english", [*sorted(folder.rglob("*.md")), *sorted(folder.rglob("LICENSE*"))])
    for kind, locale in _LOCALES.items():
        _take(kind, sorted(folder.rglob(f"locale/{locale}/LC_MESSAGES/*.po")))
    try:
        yield
    finally:
        _MAKERS.update(before)


def _take(kind: str, paths: list[Path]) -> None:
    step = max(1, len(paths) // _FILES_MAX)
    pieces: list[str] = []
    for path in paths[::step]:
        if not path.is_file():
            continue
        found = path.read_text("utf-8", "ignore")[:60_000]
        if path.suffix == ".po":
            found = "\n".join(re.findall(r'^msgstr "(.+)"$', found, re.MULTILINE))
        lines = found.splitlines(keepends=True)
        pieces += ["".join(lines[at : at + 5])[:2000] for at in range(0, len(lines), 40)]
    pieces = [piece for piece in pieces if len(piece) > _PIECE_CHARS]
    if pieces:
        _MAKERS[kind] = lambda rng: rng.choice(pieces)


def text(kind: str, rng: random.Random, size_chars: int) -> str:
    """Return about so many characters of one kind, never cut within a line or sentence."""
    pieces: list[str] = []
    length = 0
    while length < size_chars:
        piece = _MAKERS[kind](rng)
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces).strip()
