"""The catalogue is whole."""

from __future__ import annotations

import re

from tollbook.audit.findings import Mode
from tollbook.audit.rules.catalogue import CATALOGUE


def test_ids_go_up_without_holes_from_a01() -> None:
    assert list(CATALOGUE) == [f"A{at:02d}" for at in range(1, len(CATALOGUE) + 1)]
    assert len(CATALOGUE) >= 20


def test_names_are_unique_words_with_hyphens() -> None:
    names = [one.name for one in CATALOGUE.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one) for one in names)


def test_every_mode_has_a_rule() -> None:
    assert {mode for one in CATALOGUE.values() for mode in one.modes} == set(Mode)


def test_texts_are_sentences() -> None:
    for one in CATALOGUE.values():
        for text in (one.summary, one.why, one.look_at, one.mend):
            assert text[-1] == ".", one.rule
            assert "\n" not in text, one.rule
        assert len(one.summary) < 100, one.rule
        assert one.source, one.rule
