from __future__ import annotations

import pytest

from models.objectives.losses import LOSSES, LossSpec
from worker.training.guard.findings import Finding
from worker.training.methods.verdict import judge

Figures = dict[str, float | None]


def means(
    real: float = 0.69,
    fake: float = 0.69,
    g: float = 0.69,
    d_real: float | None = 0.5,
    d_fake: float | None = 0.5,
    penalty: float | None = None,
) -> Figures:
    return Figures(
        loss_d=real + fake,
        loss_d_real=real,
        loss_d_fake=fake,
        loss_g=g,
        d_real=d_real,
        d_fake=d_fake,
        d_fake_after=d_fake,
        penalty=penalty,
    )


def test_balance_is_healthy() -> None:
    health = judge(LOSSES.get("non_saturating"), means())
    assert (health.verdict, health.reasons) == ("healthy", ())
    assert health.sentence == (
        "D takes real images for real at 50% and generated ones at 50%, its loss is 1.380 and G's 0.690; at balance "
        "these are 50%, 50%, 1.386 (2 ln 2) and 0.693: the two are near balance, D can hardly tell the images apart."
    )


def test_a_discriminator_that_teaches_is_healthy_and_ahead() -> None:
    health = judge(LOSSES.get("non_saturating"), means(real=0.4, fake=0.5, g=1.3, d_real=0.68, d_fake=0.39))
    assert health.verdict == "healthy"
    assert health.sentence.endswith("D is ahead, as it is while G has something to learn from it.")


def test_each_loss_has_its_own_balance() -> None:
    def sentence(name: str, means: Figures) -> str:
        return judge(LOSSES.get(name), means).sentence

    assert "50%, 50%, 1.386 (2 ln 2) and -0.693" in sentence("minimax", means(g=-0.69))
    assert "at balance they are 0.25 and 0.125" in sentence("least_squares", means(0.1, 0.1, 0.1, None, None))
    assert "at balance they are 2 and about 0" in sentence("hinge", means(0.9, 0.9, 0.0, None, None))
    assert "0.693 (ln 2) each" in sentence("relativistic", means(0.69, 0.0, 0.69, None, None, 0.1))
    critic = sentence("wasserstein", means(-50.0, 20.0, -20.0, None, None, 3.0))
    assert critic.startswith("The critic puts real images 30.000 above generated ones, on a scale of its own")
    assert "neither it nor G's loss (-20.000) has a value to rest at" in critic


@pytest.mark.parametrize("loss", list(LOSSES), ids=LOSSES.names())
def test_every_verdict_of_every_loss_is_a_sentence(loss: LossSpec) -> None:
    share = (0.5, 0.5) if loss.has_probabilities else (None, None)
    for value in (-1.0, 0.01, 0.1, 0.5, 1.0, 3.0):
        sentence = judge(loss, means(value, 0.0, 0.5, *share)).sentence
        assert sentence.endswith(".")
        assert sentence.count(". ") == 0


def test_what_the_guard_has_found_comes_first() -> None:
    found = Finding(kind="collapsed", evidence="images of different latents differ by 3%")
    health = judge(LOSSES.get("minimax"), means(d_real=0.4, d_fake=0.6)).after((found,))
    assert health.verdict == "collapsed"
    assert health.reasons[0] == "Images of different latents differ by 3%"
    assert len(health.reasons) == 2


def test_a_run_that_looks_lost_early_is_reported_not_failed() -> None:
    health = judge(LOSSES.get("non_saturating"), means(real=0.05, fake=0.04, g=7.3, d_real=0.96, d_fake=0.03))
    assert health.verdict == "discriminator_ahead"
    assert "D(x) is 0.96 and D(G(z)) is 0.03" in health.reasons[0]
    assert "often passes by itself" in health.reasons[0]


def test_a_discriminator_that_prefers_generated_images_is_behind() -> None:
    assert judge(LOSSES.get("minimax"), means(d_real=0.4, d_fake=0.6)).verdict == "generator_ahead"


def test_least_squares_is_judged_by_its_own_balance() -> None:
    assert judge(LOSSES.get("least_squares"), means(0.125, 0.125, 0.125, None, None)).verdict == "healthy"
    assert judge(LOSSES.get("least_squares"), means(0.01, 0.01, 0.5, None, None)).verdict == "discriminator_ahead"
    assert judge(LOSSES.get("least_squares"), means(0.3, 0.3, 0.1, None, None)).verdict == "generator_ahead"


def test_hinge_is_judged_by_its_margins() -> None:
    assert judge(LOSSES.get("hinge"), means(1.0, 1.0, 0.0, None, None)).verdict == "healthy"
    assert judge(LOSSES.get("hinge"), means(0.1, 0.1, 1.0, None, None)).verdict == "discriminator_ahead"
    assert judge(LOSSES.get("hinge"), means(1.6, 1.6, -0.5, None, None)).verdict == "generator_ahead"


def test_a_critics_distance_has_no_balance_only_a_sign() -> None:
    assert judge(LOSSES.get("wasserstein"), means(-50.0, 20.0, -20.0, None, None, 3.0)).verdict == "healthy"
    health = judge(LOSSES.get("wasserstein"), means(1.0, 0.5, -0.5, None, None, 3.0))
    assert health.verdict == "generator_ahead"
    assert "distance from generated to real images is -1.500" in health.reasons[0]


def test_pairs_are_judged_by_the_loss_of_a_guess() -> None:
    assert judge(LOSSES.get("relativistic"), means(0.69, 0.0, 0.69, None, None, 0.1)).verdict == "healthy"
    assert judge(LOSSES.get("relativistic"), means(0.1, 0.0, 3.0, None, None, 0.1)).verdict == "discriminator_ahead"
    assert judge(LOSSES.get("relativistic"), means(1.2, 0.0, 0.3, None, None, 0.1)).verdict == "generator_ahead"
