"""A plan for tests: an evaluation at every snapshot, by what needs no network."""

from __future__ import annotations

from worker.evaluation.schedule import Plan

PLAN = Plan(
    every=1,
    publications=True,
    final=False,
    classifier=False,
    inception=False,
    chosen="sliced_wasserstein",
    share=0.03,
)
