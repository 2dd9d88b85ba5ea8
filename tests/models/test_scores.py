from __future__ import annotations

import pytest
from pydantic import ValidationError

from models.scores import Evaluation, Score, best_evaluation, improves, is_best


def evaluation(images: int, value: float, protocol: str = "a") -> Evaluation:
    return Evaluation(images=images, primary="fid", scores={"fid": Score(value=value, protocol=protocol)})


def test_stored_names_of_a_score_are_kept() -> None:
    stored = {"value": 2.0, "protocol": "a", "lower_is_better": True, "floor": 1.0}
    score = Score(value=2.0, protocol="a", baseline=1.0)
    assert score.model_dump() == stored
    assert Score.model_validate(stored) == score
    assert "floor" not in Score(value=2.0, protocol="a").model_dump()


def test_stored_names_of_an_evaluation_are_kept() -> None:
    judged = evaluation(1500, 2.0)
    assert list(judged.event()) == ["kimg", "images", "chosen", "scores", "shares", "expected"]
    assert Evaluation.model_validate_json(judged.model_dump_json()) == judged


def test_the_primary_score_has_to_come_first() -> None:
    scores = {"kid": Score(value=1, protocol="a"), "fid": Score(value=1, protocol="a")}
    with pytest.raises(ValidationError, match="must begin with the score"):
        Evaluation(images=1, primary="fid", scores=scores)


def test_only_a_strictly_better_score_improves() -> None:
    lower, higher = Score(value=1, protocol="a"), Score(value=2, protocol="a")
    assert improves(lower, higher)
    assert not improves(higher, lower)
    assert not improves(lower, lower)
    assert improves(lower, None)


def test_higher_is_better_where_the_score_says_so() -> None:
    low, high = (Score(value=value, protocol="a", lower_is_better=False) for value in (1, 2))
    assert improves(high, low)
    assert not improves(low, high)


def test_scores_of_other_protocols_are_no_rivals() -> None:
    score = Score(value=5, protocol="a")
    assert is_best(score, [Score(value=1, protocol="b"), Score(value=6, protocol="a")])
    assert not is_best(score, [Score(value=1, protocol="b"), Score(value=5, protocol="a")])


def test_the_best_evaluation_has_the_protocol_of_the_newest() -> None:
    evaluations = [evaluation(1, 0.5, "old"), evaluation(2, 3), evaluation(3, 2), evaluation(4, 2)]
    assert best_evaluation(evaluations) == evaluations[2]
    assert best_evaluation([]) is None


def test_a_generator_that_copies_is_the_best_only_among_its_like() -> None:
    def judged(images: int, value: float, copied: float) -> Evaluation:
        scores = {"fid": Score(value=value, protocol="a"), "memorisation": Score(value=copied, protocol="b")}
        return Evaluation(images=images, primary="fid", scores=scores)

    copying, honest = judged(1, 1.0, 0.95), judged(2, 5.0, 0.4)
    assert best_evaluation([copying, honest]) is honest
    assert best_evaluation([honest, copying]) is honest
    assert best_evaluation([copying]) is copying
