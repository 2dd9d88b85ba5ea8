"""Verdicts on a training: their names, and their titles and sentences for people.

The OpenAPI schema carries them, so that clients need no list of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import WithJsonSchema

# What a failing training is called: of its numbers, and of what its images look like.
FailureKind = Literal["diverged", "exploding", "discriminator_won", "collapsed", "worsening"]
LookKind = Literal[
    "collapsed", "noise", "exploded_colours", "grey", "memorised", "repeating", "checkerboard", "still_early"
]
Kind = FailureKind | LookKind
Outcome = Literal["healthy", "discriminator_ahead", "generator_ahead", "rolled_back", "stopped", "failed"]
Verdict = Kind | Outcome
Severity = Literal["good", "early", "warning", "failure"]


class VerdictText(NamedTuple):
    """A verdict in words: how bad it is, what one sees or what happened, what it means, and what to do."""

    title: str
    severity: Severity
    sentence: str
    advice: str = ""


VERDICTS: Final[Mapping[Verdict, VerdictText]] = {
    "healthy": VerdictText("Healthy", "good", "Nothing is wrong with the images or with the figures."),
    "still_early": VerdictText(
        "Still early", "early", "The images are not there yet, as is usual in the first tenth of a run.", "Wait."
    ),
    "discriminator_ahead": VerdictText(
        "Discriminator ahead",
        "warning",
        "D tells nearly every image apart; early in a run this often passes by itself.",
    ),
    "generator_ahead": VerdictText(
        "Generator ahead", "warning", "D prefers generated images, and has to catch up before G can learn from it."
    ),
    "collapsed": VerdictText(
        "Collapsed",
        "failure",
        "All images look alike, or all of a class: the generator ignores its latent.",
        "Stop the run; start one without classes (conditional=false), with lower rates, or with another preset.",
    ),
    "repeating": VerdictText(
        "Few motifs",
        "warning",
        "The images repeat a few motifs: most look like another one of the same snapshot.",
        "Wait if the run is young; later, more images, augmentation or another preset help.",
    ),
    "noise": VerdictText(
        "Noise",
        "failure",
        "The images are noise: neighbouring pixels have little to do with each other.",
        "If this does not pass, start again with lower rates or with another preset.",
    ),
    "exploded_colours": VerdictText(
        "Exploded colours",
        "failure",
        "The colours are glaring: far more pixels than in real images are as bright and as dark as can be.",
        "Start again with lower rates, or with a penalty on the discriminator.",
    ),
    "grey": VerdictText(
        "Grey",
        "warning",
        "The images have lost their colours, and real ones have them.",
        "Wait if the run is young; later, start again without changes of colour in the augmentation.",
    ),
    "checkerboard": VerdictText(
        "Checkerboard",
        "warning",
        "A regular grid of 2 or 4 pixels lies over the images: the generator's upsampling shows.",
        "Wait: it often fades; if it does not, use a preset whose generator ends in a convolution.",
    ),
    "memorised": VerdictText(
        "Memorised",
        "warning",
        "The images are copies of training images rather than new ones.",
        "Publish an earlier version; train on more images, for less long, or with augmentation.",
    ),
    "discriminator_won": VerdictText(
        "Discriminator won", "failure", "The generator learns nothing from the discriminator any more."
    ),
    "exploding": VerdictText("Exploding", "failure", "A network's gradient is far larger than is usual in this run."),
    "diverged": VerdictText("Diverged", "failure", "A figure or a weight is no longer a finite number."),
    "worsening": VerdictText("Worsening", "warning", "The score is far worse than it was at its best."),
    "rolled_back": VerdictText(
        "Rolled back", "warning", "The run went back to its best point, and continues with lower rates."
    ),
    "stopped": VerdictText("Stopped", "failure", "Rollbacks did not help: the run ended with its best version."),
    "failed": VerdictText("Failed", "failure", "The run has failed; its message says why."),
}

# A name that the schema lists; any string is accepted, because files of another version may hold other names.
VerdictName = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "enum": list(VERDICTS),
            "x-enum-titles": [text.title for text in VERDICTS.values()],
            "x-enum-descriptions": [text.sentence for text in VERDICTS.values()],
            "x-enum-advice": [text.advice for text in VERDICTS.values()],
            "x-enum-severities": [text.severity for text in VERDICTS.values()],
        }
    ),
]
