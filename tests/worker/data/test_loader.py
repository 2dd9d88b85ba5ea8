import numpy as np
import pytest
import torch

from tests.fixtures.folders import Folders
from tests.fixtures.waiting import until
from worker.data import Prepared, loader
from worker.data.loader import BatchSampler, Loader


@pytest.fixture
def prepared(folders: Folders) -> Prepared:
    for number in range(10):
        folders.picture(f"cats/{number}.png", color=(20 * number, 0, 0))
    return folders.prepare("folder:cats", 28, 3)


def draw(sampler: BatchSampler, batches: int) -> list[int]:
    return [int(index) for _ in range(batches) for index in sampler.next()]


def test_every_epoch_shows_every_image_once_though_batches_straddle() -> None:
    drawn = draw(BatchSampler(10, 4, seed=3), 5)
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10] != drawn[10:]


def test_batch_larger_than_the_set_wraps_as_often_as_needed() -> None:
    batch = BatchSampler(3, 8, seed=0).next()
    assert batch.shape == (8,)
    assert np.bincount(batch).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


@pytest.mark.parametrize("position", [0, 4, 8, 12, 20, 48])
def test_sampler_set_to_a_position_continues_as_one_that_drew_so_far(position: int) -> None:
    first = BatchSampler(10, 4, seed=7)
    draw(first, position // 4)
    second = BatchSampler(10, 4, seed=7)
    second.position = position
    assert first.position == position
    assert draw(first, 6) == draw(second, 6)


def test_position_may_go_back() -> None:
    sampler = BatchSampler(10, 4, seed=7)
    drawn = draw(sampler, 6)
    sampler.position = 0
    assert draw(sampler, 6) == drawn


def test_what_is_drawn_does_not_depend_on_the_batch_size() -> None:
    assert draw(BatchSampler(10, 4, seed=7), 5) == draw(BatchSampler(10, 10, seed=7), 2)


def test_seeds_differ() -> None:
    assert draw(BatchSampler(100, 100, seed=0), 1) != draw(BatchSampler(100, 100, seed=1), 1)


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (0, [0, 2, 1, 5, 4, 3, 6, 7, 5, 3, 7, 2, 4, 1, 0, 6]),
        (2**63 - 1, [1, 6, 3, 2, 7, 4, 0, 5, 0, 6, 7, 3, 5, 1, 4, 2]),
    ],
)
def test_order_is_the_same_in_every_version(seed: int, expected: list[int]) -> None:
    assert draw(BatchSampler(8, 8, seed), 2) == expected


def test_empty_set_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot draw batches of 4 from 0 images"):
        BatchSampler(0, 4, seed=0)


@pytest.mark.parametrize("in_memory", [0, 1 << 30], ids=["mapped", "in memory"])
def test_loader_returns_the_images_that_its_sampler_draws(
    in_memory: int, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_MAX_IN_MEMORY", in_memory)
    batches = Loader(prepared, 4, 5, "cpu")
    sampler = BatchSampler(10, 4, seed=5)
    for _ in range(6):
        batch = batches.next().images
        assert batch.dtype == torch.uint8
        np.testing.assert_array_equal(batch.numpy(), prepared.images[sampler.next().numpy()])
    assert batches.position == 24


def test_loader_resumes_at_its_position(prepared: Prepared) -> None:
    first = Loader(prepared, 4, 5, "cpu")
    for _ in range(4):
        first.next()
    second = Loader(prepared, 4, 5, "cpu")
    second.position = first.position
    for _ in range(4):
        assert torch.equal(first.next().images, second.next().images)


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave every set in its file, as one that is too large for memory."""
    monkeypatch.setattr(loader, "_MAX_IN_MEMORY", 0)


@pytest.mark.usefixtures("mapped")
def test_batches_are_prefetched_and_do_not_count_before_they_are_returned(prepared: Prepared) -> None:
    drawn: list[int] = []
    first = Loader(prepared, 4, 5, "cpu")
    take = first._sampler.next
    first._sampler.next = lambda: drawn.append(1) or take()  # type: ignore[method-assign,func-returns-value]
    first.next()
    until(lambda: len(drawn) == 3, "two batches beyond the first")
    assert first.position == 4
    second = Loader(prepared, 4, 5, "cpu")
    second.position = first.position
    for _ in range(8):
        assert torch.equal(first.next().images, second.next().images)


@pytest.mark.usefixtures("mapped")
def test_a_loader_that_prefetches_may_be_set_back(prepared: Prepared) -> None:
    batches = Loader(prepared, 4, 5, "cpu")
    returned = [batches.next().images for _ in range(5)]
    batches.position = 4
    assert batches.position == 4
    for expected in returned[1:]:
        assert torch.equal(batches.next().images, expected)


@pytest.mark.usefixtures("mapped")
def test_error_while_prefetching_is_raised_for_its_batch(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Loader(prepared, 4, 5, "cpu")

    def broken(*_arguments: object, **_settings: object) -> None:
        raise OSError("the disk has gone")

    monkeypatch.setattr(np, "take", broken)
    with pytest.raises(OSError, match="the disk has gone"):
        batches.next()


def test_batch_is_the_trainer_s_own(prepared: Prepared) -> None:
    batches = Loader(prepared, 10, 0, "cpu")
    before = prepared.images.copy()
    batches.next().images.zero_()
    np.testing.assert_array_equal(prepared.images, before)
    assert batches.next().images.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("share", [0.0, 0.25], ids=["pinned", "on the device"])
def test_gpu_gets_the_same_batches(share: float, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_DEVICE_SHARE", share)
    here, there = Loader(prepared, 4, 5, "cpu"), Loader(prepared, 4, 5, "cuda")
    for _ in range(6):
        batch = there.next().images
        assert batch.is_cuda
        assert torch.equal(here.next().images, batch.cpu())


def test_labels_go_with_their_images(folders: Folders) -> None:
    for number in range(5):
        folders.picture(f"{'ab'[number % 2]}/{number}.png", color=(20 * number, 0, 0))
    labelled = folders.prepare("folder:.", 28, 3)
    batches = Loader(labelled, 4, 5, "cpu")
    assert batches.labels is not None
    assert batches.labels.tolist() == [0, 0, 0, 1, 1]
    for _ in range(3):
        images, labels = batches.next()
        assert labels is not None
        assert [int(image[0, 0, 0]) // 20 % 2 for image in images] == labels.tolist()


def test_a_set_without_labels_has_none(prepared: Prepared) -> None:
    batches = Loader(prepared, 4, 5, "cpu")
    assert batches.labels is None
    assert batches.next().labels is None


def test_mirrored_images_are_further_images_of_the_set(folders: Folders) -> None:
    for number in range(3):
        folders.picture(f"{number}.png", color=(60 * number, 0, 0))
    prepared = folders.prepare("folder:.", 28, 3)
    prepared.images[:, 1, :, 0] = 200  # a mark at the left edge
    batches = Loader(prepared, 6, 5, "cpu", mirrored=True)
    for _ in range(2):
        images, _ = batches.next()
        seen = {(int(image[0, 0, 0]), int(image[1, 0, 0]), int(image[1, 0, -1])) for image in images}
        assert seen == {(60 * n, *edges) for n in range(3) for edges in ((200, 0), (0, 200))}
    batches.position = 6
    again, _ = batches.next()
    assert again.equal(images)
