"""The analysis of :mod:`tollbook.insights.effects` as one statement, for ledgers with many cells.

A ledger of some thousand tenants has a hundred thousand cells: the database works their effects out
in a fraction of the time that it takes to fetch them. All is integers of pico in 128 bits, and
every quotient is rounded half to even as :func:`tollbook.reports.exact_ratio.rounded` does it, so
nothing is lost to the database's own division.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook.insights.effects import CACHED_KINDS, TOKENS, Effects
from tollbook.usage import TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIR: Final = ("d0", "d1")
"""Tenant and feature; the next is the model."""
MODEL: Final = "d2"


def effects_sql(before: str, now: str, keys: Sequence[str], kinds: Sequence[str]) -> str:
    """Return the start of a statement (WITH ...) that ends with the table ``effects``.

    It has the keys, ``was`` and ``is_now`` in pico, and the effects by name.

    Args:
        before: a statement with a row for each cell: its keys, ``cost_usd``, and of each kind its
            quantity and ``KIND_cost_usd``.
        now: the same of the other range.
        keys: names of its first columns: tenant, feature, model, and further ones.
        kinds: at least one.
    """
    key, pair = ", ".join(keys), ", ".join(PAIR)
    sums = ", ".join(f"sum({column}) AS {column}" for column in ("was", "is_now", *_columns(kinds)))
    # Of g grown, v valued, c cached as before there are a numerator and a denominator.
    return f"""
    WITH sides AS ({_side(before, keys, kinds, is_now=False)}
        UNION ALL {_side(now, keys, kinds, is_now=True)}),
    summed AS (SELECT {key}, {sums}, bool_or(is_before) AS had, NOT bool_and(is_before) AS has
        FROM sides GROUP BY {key}),
    cells AS (SELECT *, row_number() OVER () AS cell,
        bool_or(had) OVER (PARTITION BY {pair}) AND bool_or(has) OVER (PARTITION BY {pair}) AS kept
        FROM summed),
    long AS ({_long(kinds)}),
    growth AS (SELECT family, sum(qb) AS gb, sum(qn) AS gn FROM long WHERE kept GROUP BY family),
    paid AS (SELECT model, kind, sum(ab) AS pa, sum(qb) AS pq FROM long WHERE qb > 0
        GROUP BY model, kind),
    valued AS (SELECT cell, cached, qb, ab, qn, an,
            CASE WHEN gb > 0 THEN ab * gn ELSE ab END AS gnum,
            CASE WHEN gb > 0 THEN gb ELSE 1 END AS gden,
            CASE WHEN qn = 0 THEN 0 WHEN qb > 0 THEN qn * ab WHEN pq > 0 THEN qn * pa
                 ELSE an END AS vnum,
            CASE WHEN qn = 0 THEN 1 WHEN qb > 0 THEN qb WHEN pq > 0 THEN pq ELSE 1 END AS vden
        FROM long JOIN growth USING (family)
        LEFT JOIN paid ON paid.kind = long.kind AND paid.model IS NOT DISTINCT FROM long.model
        WHERE kept),
    levels AS (SELECT cell, sum(ab) AS l0, sum(an) AS l4,
            sum({_rounded("gnum", "gden")}) AS l1, sum({_rounded("vnum", "vden")}) AS l3,
            coalesce(sum({_rounded("vnum", "vden")}) FILTER (cached), 0) AS cached_now,
            coalesce(sum(qb) FILTER (cached), 0) AS cden,
            coalesce(sum(qn) FILTER (cached), 0) * coalesce(sum(ab) FILTER (cached), 0) AS cnum
        FROM valued GROUP BY cell),
    steps AS (SELECT cell, l0, l1, l3, l4,
            CASE WHEN cden = 0 THEN l3 ELSE l3 - cached_now + {_rounded("cnum", "nullif(cden, 0)")}
            END AS l2 FROM levels),
    effects AS (SELECT {key}, was, is_now,
            coalesce(l1 - l0, 0) AS volume, coalesce(l2 - l1, 0) AS mix,
            coalesce(l3 - l2, 0) AS cache, coalesce(l4 - l3, 0) AS price,
            CASE WHEN kept THEN 0 ELSE is_now END AS new,
            CASE WHEN kept THEN 0 ELSE -was END AS gone,
            CASE WHEN kept THEN (is_now - coalesce(l4, 0)) - (was - coalesce(l0, 0)) ELSE 0
            END AS other
        FROM cells LEFT JOIN steps USING (cell))"""  # noqa: S608 -- no text of a caller


def sums_sql(keys: Sequence[str], *, of: int, width: int) -> str:
    """Return an end of the statement: effects added up by some keys.

    Its columns are ``of``, so many keys (NULL beyond those given), ``was``, ``is_now``, the effects
    in their order; ends of equal width may be put together.
    """
    shown = [*keys, *["NULL"] * (width - len(keys))]
    sums = [f"sum({name})" for name in ("was", "is_now", *Effects._fields)]
    columns = ", ".join([str(of), *shown, *sums])
    return f"SELECT {columns} FROM effects GROUP BY {', '.join(keys)}"  # noqa: S608 -- as above


def _columns(kinds: Sequence[str]) -> list[str]:
    return [f"{name}{at}" for at in range(len(kinds)) for name in ("qb", "ab", "qn", "an")]


def _side(statement: str, keys: Sequence[str], kinds: Sequence[str], *, is_now: bool) -> str:
    """Return a range's rows with the columns of both, those of the other zero."""
    total = _pico("cost_usd")
    columns = [*keys, str(not is_now).upper() + " AS is_before"]
    columns += [f"{'0' if is_now else total} AS was", f"{total if is_now else '0'} AS is_now"]
    for at, kind in enumerate(kinds):
        # Without a quantity there is no price: its amount is left to "other".
        quantity = f"greatest(coalesce({kind}, 0), 0)::HUGEINT"
        amount = f"CASE WHEN {kind} > 0 THEN {_pico(f'{kind}_cost_usd')} ELSE 0 END"
        for side, is_this in (("b", not is_now), ("n", is_now)):
            columns += [
                f"{quantity if is_this else '0'} AS q{side}{at}",
                f"{amount if is_this else '0'} AS a{side}{at}",
            ]
    return f"SELECT {', '.join(columns)} FROM ({statement})"  # noqa: S608 -- as above


def _pico(column: str) -> str:
    return f"coalesce(({column} * 1000000000000::DECIMAL(13,0))::HUGEINT, 0)"


def _long(kinds: Sequence[str]) -> str:
    """Return cells by kind of what is paid for, those that either range has any of."""
    return " UNION ALL ".join(
        f"SELECT cell, kept, {MODEL} AS model, '{kind}' AS kind, "  # noqa: S608 -- as above
        f"'{TOKENS if kind in TOKEN_KINDS else kind}' AS family, {kind in CACHED_KINDS} AS cached, "
        f"qb{at} AS qb, ab{at} AS ab, qn{at} AS qn, an{at} AS an FROM cells "
        f"WHERE qb{at} > 0 OR qn{at} > 0"
        for at, kind in enumerate(kinds)
    )


def _rounded(numerator: str, denominator: str) -> str:
    """Return a quotient rounded half to even; the denominator is positive.

    Half up is the floor of ``(2n + d) / 2d``; of a half that is one too many where it is odd. The
    database's ``//`` cuts off towards zero, so the floor of a negative one is one less.
    """
    twice, whole = f"(2 * ({numerator}) + {denominator})", f"(2 * {denominator})"
    up = f"({twice} // {whole} - CASE WHEN {twice} % {whole} < 0 THEN 1 ELSE 0 END)"
    return f"({up} - CASE WHEN {twice} % {whole} = 0 AND {up} % 2 <> 0 THEN 1 ELSE 0 END)"
