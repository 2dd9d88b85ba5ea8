from __future__ import annotations

from pathlib import Path

import pytest

from models.records import Records
from models.scores import Score
from models.store.card import Pairs, render_card
from models.store.local import LocalStore
from models.store.manifest import CARD, GENERATOR, NEIGHBOURS, PREVIEW, WEIGHTS
from models.store.publishing import TrainedRun, VersionDraft, publish
from tests.fixtures.versions import FILES, training_config

SCORE = Score(value=12.345, protocol="2000 samples | <of> a test", baseline=0.5)


def test_a_version_is_published_with_a_card_and_its_nearest_neighbours(tmp_path: Path, records: Records) -> None:
    config = training_config()
    records.create_run(config, {})
    run = records.claim_run("worker", 1)
    assert run is not None
    draft = VersionDraft(
        TrainedRun(run.claim, config, "tiny", {}),
        images=512_000,
        weights={GENERATOR: FILES[WEIGHTS]},
        preview=FILES[PREVIEW],
        scores={"classifier_frechet": SCORE},
        pairs=lambda: Pairs(b"a picture", 900, 6000),
    )
    publish(LocalStore(tmp_path), records, draft)
    version = LocalStore(tmp_path).resolve("digits@1")
    assert {CARD, NEIGHBOURS} < set(version.manifest.files)
    card = LocalStore(tmp_path).read(version, CARD).decode()
    assert card.startswith("# digits@1\n")
    assert r"| classifier_frechet | 12.35 | 0.5 | lower | 2000 samples \| \<of\> a test |" in card
    assert "512,000" in card
    assert "samples?model=digits@1" in card
    assert "among 900 of 6,000" in card
    assert "![pairs](neighbours.png)" in card


def test_a_card_of_a_folder_says_that_its_licence_is_unknown_and_cannot_be_broken_by_its_name() -> None:
    config = training_config().model_copy(update={"dataset": "folder:a|b"})
    manifest = LocalStore(Path("nowhere")).resolve(None).manifest
    shown = manifest.provenance.model_copy(update={"dataset": "folder:a|b\n# c"})
    card = render_card(manifest.model_copy(update={"provenance": shown, "scores": {}}), config).decode()
    assert "\n`folder:a|b # c`, images" in card
    assert "consent" in card
    assert "not evaluated" in card
    assert "published by hand" in card


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("![x](http://evil)", r"\!\[x\](http://evil)"),
        ("<img src=x>", r"\<img src=x\>"),
        ("a`b", r"a\`b"),
        (r"end\|", r"end\\\|"),
        ("*bold* _too_ but_not_this", r"\*bold\* \_too\_ but_not_this"),
        ("one\r\n# two\u2028three\u202efour\x00", "one  # two three four "),
    ],
)
def test_what_others_wrote_is_shown_as_they_wrote_it(named: str, shown: str) -> None:
    manifest = LocalStore(Path("nowhere")).resolve(None).manifest
    score = Score(value=1.0, protocol=named)
    card = render_card(manifest.model_copy(update={"scores": {"fid": score}}), training_config()).decode()
    assert f"| fid | 1 |  | lower | {shown} |" in card


def test_a_name_cannot_leave_the_code_that_it_is_set_in() -> None:
    manifest = LocalStore(Path("nowhere")).resolve(None).manifest
    provenance = manifest.provenance.model_copy(update={"dataset": "folder:``![x](y)`"})
    config = training_config().model_copy(update={"dataset": "folder:``![x](y)`"})
    card = render_card(manifest.model_copy(update={"provenance": provenance}), config).decode()
    assert "\n``` folder:``![x](y)` ```, images of whoever" in card
