"""Looks: the rules that name what is wrong with a training's images, for people; the guard does not act on them.

A rollback needs a failure that smaller rates mend, and much evidence (`findings`). A verdict costs nothing: it names
what the eye sees at the second snapshot in a row, from the first tenth of the run on; what young networks often lose by
themselves, only of those that are not young any more, or at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, get_args

from models.config.values import Frozen
from models.scores import Score
from models.verdicts import LookKind
from worker.training.guard.appearance import Appearance
from worker.training.guard.findings import GRACE, Finding, Rules, alike

# Mean difference between images, of that between real ones: networks of 500 rounds and more. Healthy ones have 0.68
# and more there; flowers with one blurred image a class (half-width dcgan at 64 px) had 0.03 to 0.11 over a whole run.
ALIKE: Final = 0.2
# Of younger ones, which may yet become well: a dcgan on emoji had 0.07 at 4 kimg and 0.76 at 20.
ALIKE_YOUNG: Final = 0.05
# The same, to the most similar image, where images differ otherwise. Healthy: 0.7 and more.
REPEATING: Final = 0.35
# Halfway to noise. Healthy from a tenth of the run on: at most 0.1. White noise: 1.
NOISE: Final = 0.5
# Of real images' distance from grey. Healthy: 0.5 to 1.4.
GREY: Final = 0.15
# Share of the pixels that are glaring, beyond that of real images. Healthy: less than 0.02.
GLARING: Final = 0.2
# Share of a channel's contrast in a pattern of 2 or 4 px, beyond that of real images. Photographs of patch networks
# have 0.14 to 0.27 at 24 kimg, where it begins to be seen; 0.35 and more are grids before all else.
CHECKERBOARD: Final = 0.32
# Distance to the nearest training image, of that between training images. Copies: 0; samples of healthy runs on emoji
# and flowers: 0.87 and more; of a run with one blurred image a class: 0.47.
COPIED: Final = 0.25
# Probability that a sample is nearer to the training images than a held-out image is: 0.5 is ideal, copies have 1.
MEMORISED: Final = 0.9
# Share of the samples that look real, and of the real images that are covered, each of the same measure of real images.
# A generator of few good images has much of the first and none of the second: one image for each class of flowers had
# 1.0 and 0.04, with a recall of 0.
TYPICAL, COVERED, RECALLED = 0.5, 0.1, 0.02
# Variety within classes on features, as a share of real images'.
ALIKE_IN_CLASS: Final = 0.3

# The score `diversity`. Photographs of healthy runs of a few minutes: 0.81 and more; the failed run with flowers: 0.11.
ALIKE_NEAREST: Final = 0.25

SNAPSHOTS: Final = 2  # in a row that a look has to hold for, where it is of pixels
_ORDER: Final = get_args(LookKind)  # the worst first
# What young networks often show and lose, and until which share of their youth (500 rounds) it is no failure. Patch
# networks for photographs had 0.6 of a channel's contrast in a pattern after 24 rounds and 0.2 after 375; a dcgan on
# CIFAR-10 was noise after 140 rounds and not after 220; one on emoji had few motifs after 400 rounds and not after 600.
_FADING: Final[Mapping[LookKind, float]] = {"noise": 0.5, "grey": 0.5, "checkerboard": 0.5, "repeating": 1.0}


class Look(Frozen):
    """What the eye sees in the newest snapshot.

    Attributes:
        evidence: the middle of a sentence.
        images: the position of the snapshot.
        snapshots: in a row that looked so.
        scored: whether scores say so, which are of thousands of samples.
    """

    kind: LookKind
    evidence: str
    images: int
    snapshots: int = 1
    scored: bool = False


def look(
    images: int,
    appearance: Appearance,
    scores: Mapping[str, Score],
    before: tuple[Look, ...] = (),
    *,
    rules: Rules,
) -> tuple[Look, ...]:
    """Name what is wrong with the images of a snapshot, the worst first.

    Args:
        images: its position.
        scores: of the evaluation at this position, by name; empty where there was none.
        before: looks of the snapshot before, of which those on scores last until the next scores.
    """
    young = images < rules.young
    lengths = {each.kind: each.snapshots for each in before}
    looks = [
        Look(kind=kind, evidence=evidence, images=images, snapshots=lengths.get(kind, 0) + 1)
        for kind, evidence in _by_pixels(appearance, young=young, conditional=rules.conditional)
    ]
    if scores:
        looks += [
            Look(kind=kind, evidence=text, images=images, scored=True) for kind, text in _by_scores(scores, young=young)
        ]
    else:
        looks += [each for each in before if each.scored]
    # One look of each kind; of scores and pixels that agree, the scores.
    best = {each.kind: each for each in sorted(looks, key=lambda each: each.scored)}
    return tuple(sorted(best.values(), key=lambda each: _ORDER.index(each.kind)))


def _by_pixels(seen: Appearance, *, young: bool, conditional: bool) -> Iterator[tuple[LookKind, str]]:
    if seen.diversity is not None and seen.diversity < (ALIKE_YOUNG if young else ALIKE):
        yield "collapsed", alike(seen.diversity, conditional=conditional)
    # A pattern of 2 px is as rough as noise.
    patterned = seen.pattern is not None and seen.pattern > CHECKERBOARD
    if seen.roughness is not None and seen.roughness > NOISE and not patterned:
        yield "noise", f"neighbouring pixels are {min(seen.roughness, 1):.0%} of the way from real images to noise"
    if seen.glaring is not None and seen.glaring > GLARING:
        yield "exploded_colours", f"{seen.glaring:.0%} more of the pixels are glaring than in real images"
    if seen.chroma is not None and seen.chroma < GREY:
        yield "grey", f"the images have {seen.chroma:.0%} of the colour of real ones"
    if seen.novelty is not None and seen.novelty < COPIED:
        yield "memorised", f"training images are {seen.novelty:.0%} as far away as they are from each other"
    if seen.variety is not None and seen.variety < REPEATING:
        yield "repeating", f"each image differs from the one most like it by {seen.variety:.0%} of what real ones do"
    if patterned:
        yield "checkerboard", f"{seen.pattern:.0%} of the contrast is a pattern with a period of 2 or 4 pixels"


def _by_scores(scores: Mapping[str, Score], *, young: bool) -> Iterator[tuple[LookKind, str]]:
    if (copied := scores.get("memorisation")) is not None and copied.value > MEMORISED:
        yield "memorised", f"{copied.value:.0%} of the samples are nearer to a training image than new images are"
    # Young networks cover little, and nothing follows from it.
    if young:
        return
    if (variety := scores.get("class_diversity")) is not None and variety.value < ALIKE_IN_CLASS:
        yield "collapsed", f"within a class, images differ by {variety.value:.0%} of what real ones do"
    if (apart := scores.get("diversity")) is not None and apart.value < ALIKE_NEAREST:
        yield "collapsed", f"each sample differs from the one most like it by {apart.value:.0%} of what real images do"
    for features in ("efficientnet", "inception", "classifier"):
        precision, coverage, recall = (
            _share(scores.get(f"{features}_{name}")) for name in ("precision", "coverage", "recall")
        )
        if precision is None or coverage is None or recall is None:
            continue
        if precision > TYPICAL and coverage < COVERED and recall < RECALLED:
            covered = f"the samples cover {coverage:.0%} of the real images and could make {recall:.0%} of them"
            yield "collapsed", f"{covered}, although {precision:.0%} of the samples look real"


def name_looks(looks: Sequence[Look], rules: Rules) -> tuple[Finding, ...]:
    """Return the findings with which a verdict leads; while the networks are young, some of them are no failure yet."""
    if not looks:
        return ()
    images, tenth = max(each.images for each in looks), GRACE * rules.total
    # At the end of a run nothing is young.
    grown = {kind: min(share * rules.young, rules.total) for kind, share in _FADING.items()}
    lasting = [each for each in looks if each.scored or each.snapshots >= SNAPSHOTS]
    named = [each for each in lasting if images >= max(tenth, grown.get(each.kind, 0))]
    if named:
        return tuple(Finding(kind=each.kind, evidence=each.evidence) for each in named)
    if images < max(tenth, *(grown.get(each.kind, 0) for each in looks)):
        return (Finding(kind="still_early", evidence=f"so far, {looks[0].evidence}"),)
    return ()


# A score as a share of that of real images.
def _share(score: Score | None) -> float | None:
    if score is None:
        return None
    return score.value / score.baseline if score.baseline else score.value
