from __future__ import annotations

from dataclasses import replace

import pytest

from models.scores import Score
from models.verdicts import VERDICTS
from worker.training.guard.appearance import Appearance
from worker.training.guard.findings import Rules
from worker.training.guard.looks import Look, look, name_looks

RULES = Rules(acts=True, total=1000, young=50, parameters=1)
WELL = Appearance(diversity=0.9, variety=0.9, chroma=1.0, glaring=0.0, roughness=0.0, pattern=0.0)
WRONG = {
    "collapsed": replace(WELL, diversity=0.1, variety=0.1),
    "noise": replace(WELL, roughness=0.9),
    "exploded_colours": replace(WELL, glaring=0.5),
    "grey": replace(WELL, chroma=0.05),
    "memorised": replace(WELL, novelty=0.1),
    "repeating": replace(WELL, variety=0.2),
    "checkerboard": replace(WELL, roughness=0.9, pattern=0.5),
}


def scores(**values: float) -> dict[str, Score]:
    return {name: Score(value=value, protocol="p") for name, value in values.items()}


def name(looks: tuple[Look, ...], rules: Rules = RULES) -> list[str]:
    return [finding.kind for finding in name_looks(looks, rules)]


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_eye_sees_is_named_at_the_second_snapshot_in_a_row(kind: str) -> None:
    first = look(200, WRONG[kind], {}, rules=RULES)
    assert name(first) == []
    second = look(220, WRONG[kind], {}, first, rules=RULES)
    assert name(second)[0] == kind
    assert look(240, WELL, {}, second, rules=RULES) == ()


@pytest.mark.parametrize("kind", WRONG)
def test_in_its_first_tenth_a_run_is_early_whatever_it_looks_like(kind: str) -> None:
    early = look(90, WRONG[kind], {}, look(80, WRONG[kind], {}, rules=RULES), rules=RULES)
    (finding,) = name_looks(early, RULES)
    assert finding.kind == "still_early"
    assert finding.evidence.startswith("so far, ")
    assert name(look(100, WRONG[kind], {}, early, rules=RULES))[0] == kind


@pytest.mark.parametrize("kind", ["noise", "grey", "repeating", "checkerboard"])
def test_what_young_networks_often_lose_is_named_later_or_at_the_end(kind: str) -> None:
    young = replace(RULES, young=5000)
    looks = look(950, WRONG[kind], {}, look(900, WRONG[kind], {}, rules=young), rules=young)
    assert name(looks, young) == ["still_early"]
    assert name(look(1000, WRONG[kind], {}, looks, rules=young), young)[0] == kind


def test_a_conditional_run_that_collapses_is_told_that_it_need_not_be_conditional() -> None:
    (found, _) = look(200, WRONG["collapsed"], {}, rules=replace(RULES, conditional=True))
    assert "conditional=false" in found.evidence
    assert "conditional=false" not in look(200, WRONG["collapsed"], {}, rules=RULES)[0].evidence


def test_samples_that_look_real_and_cover_nothing_are_a_collapse() -> None:
    failed = scores(classifier_precision=1.0, classifier_recall=0.0, classifier_coverage=0.04, diversity=0.11)
    assert name(look(200, WELL, failed, rules=RULES)) == ["collapsed"]
    early = scores(efficientnet_precision=0.1, efficientnet_recall=0.0, efficientnet_coverage=0.04, diversity=0.8)
    assert look(200, WELL, early, rules=RULES) == ()
    assert name(look(200, WELL, scores(class_diversity=0.1), rules=RULES)) == ["collapsed"]


def test_copies_of_training_images_are_named_until_new_scores_differ() -> None:
    assert look(200, WELL, scores(memorisation=0.6), rules=RULES) == ()
    copies = look(200, WELL, scores(memorisation=1.0), rules=RULES)
    assert name(copies) == ["memorised"]
    between = look(220, WELL, {}, copies, rules=RULES)
    assert name(between) == ["memorised"]
    assert look(240, WELL, scores(memorisation=0.5), between, rules=RULES) == ()


def test_every_verdict_has_words_for_people() -> None:
    for text in VERDICTS.values():
        assert text.title[0].isupper()
        assert text.sentence.endswith(".")
        assert not text.advice or text.advice.endswith(".")
