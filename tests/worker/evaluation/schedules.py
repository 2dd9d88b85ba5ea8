"""A schedule for tests: an evaluation at every snapshot, by scores that need no network."""

from __future__ import annotations

from models.scores import EvaluationSchedule

SCHEDULE = EvaluationSchedule(
    every=1,
    publications=True,
    final=False,
    classifier=False,
    inception=False,
    primary="sliced_wasserstein",
    share=0.03,
)
