"""Preparation of archives: good and bad images, and the same bytes from the same images."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.datasets.archives import Limits
from models.datasets.catalogue import DatasetProblem
from models.datasets.uploads import MEAN, PREVIEW, Finding, FindingKind, Options, UploadFolder, ValidationReport
from tests.fixtures.hostile import BAD_IMAGES, picture, zipped
from worker.data.prepared import Prepared, read_prepared
from worker.data.uploads import PreparationStopped, UploadPreparation

LIMITS = Limits(files=10_000, unpacked_bytes=1 << 30, file_bytes=1 << 24, ratio=200)
MAX_PIXELS = 1_000_000


def noise(seed: int, size: int = 40, **options: Any) -> bytes:
    """Return an image of noise, its own for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, options.pop("kind", "PNG"), **options)
    return buffer.getvalue()


class Upload:
    """An uploaded archive."""

    def __init__(self, path: Path, archive: bytes) -> None:
        self.folder = UploadFolder(path)
        path.mkdir(parents=True)
        self.folder.archive.write_bytes(archive)

    def prepare(self, stop: Callable[[], bool] = lambda: False, **options: Any) -> ValidationReport:
        free = options.pop("free_bytes", 1 << 30)
        return UploadPreparation(self.folder, "cats", Options(**options), LIMITS, MAX_PIXELS, lambda: free, stop).run()

    @property
    def prepared(self) -> Prepared:
        found = read_prepared(self.folder.prepared)
        assert found is not None
        return found

    def findings(self, kind: str | None = None) -> dict[str | None, Finding]:
        return {item.file: item for item in self.folder.findings(0, 1000) if kind in (None, item.kind)}

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.prepared.iterdir()}


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., Upload]:
    def make(files: Mapping[str, bytes] | bytes, name: str = "upload") -> Upload:
        return Upload(tmp_path / name, files if isinstance(files, bytes) else zipped(files))

    return make


Make = Callable[..., Upload]
MANY = {f"pets/{kind}/{n}.png": noise(n + 100 * len(kind)) for kind in ("cat", "horse") for n in range(20)}


def after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_folders_become_classes(upload: Make) -> None:
    made = upload(MANY)
    report = made.prepare()
    assert (report.count, report.size, report.channels, report.crop) == (40, 32, 3, "centre")
    assert report.classes == {"cat": 20, "horse": 20}
    prepared = made.prepared
    assert prepared.classes == ("cat", "horse")
    assert prepared.labels is not None
    assert prepared.labels.tolist() == [0] * 20 + [1] * 20
    assert prepared.images.shape == (40, 3, 32, 32)
    assert prepared.manifest.sha256 == report.sha256


def test_loose_images_have_no_classes(upload: Make) -> None:
    made = upload({"a.png": noise(1), "more/b.png": noise(2)})
    assert made.prepare().classes == {}
    assert made.prepared.labels is None


def test_grey_images_are_prepared_grey(upload: Make) -> None:
    report = upload({f"{n}.png": picture(mode="L", color=60 * n) for n in range(4)}).prepare()
    assert report.channels == 1
    assert "grey" not in report.findings


def test_contact_sheet_and_mean_are_drawn(upload: Make) -> None:
    made = upload({"a.png": picture(color=(200, 0, 0)), "b.png": picture(color=(0, 100, 0))})
    made.prepare(size=32)
    with Image.open(made.folder.prepared / MEAN) as mean:
        assert (mean.size, mean.getpixel((5, 5))) == ((32, 32), (100, 50, 0))
    with Image.open(made.folder.prepared / PREVIEW) as sheet:
        assert sheet.width > 200


def test_same_images_give_the_same_bytes_whatever_the_archive(upload: Make) -> None:
    shuffled = list(MANY.items())
    random.Random(0).shuffle(shuffled)
    made = upload(MANY), upload(tar_of(dict(shuffled)), "other")
    for one in made:
        one.prepare()
    assert made[0].files() == made[1].files()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for mtime, (name, data) in enumerate(files.items()):
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mtime = len(data), mtime
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("calls", [1, 45, 60, 79])
def test_stopped_preparation_is_continued_to_the_same_bytes(calls: int, upload: Make) -> None:
    whole, broken = upload(MANY), upload(MANY, "other")
    whole.prepare()
    with pytest.raises(PreparationStopped):
        broken.prepare(after(calls))
    assert not broken.folder.prepared.exists()
    broken.prepare()
    assert broken.files() == whole.files()


def test_later_attempt_decodes_only_what_is_missing(upload: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = upload(MANY)
    with pytest.raises(PreparationStopped):
        made.prepare(after(70))  # 40 headers, 30 images
    seen: list[int] = []
    monkeypatch.setattr(UploadFolder, "set_progress", lambda self, done, total: seen.append(done))
    made.prepare()
    assert 30 <= seen[0] <= 40


@pytest.mark.parametrize(
    "damage",
    [b'["pets/cat/0.p', b"", bytes(40) + b"\n", b"[1]\n"],
    ids=["half a line", "pixels without a line", "zeros", "another line"],
)
def test_what_a_death_left_half_written_is_done_again(damage: bytes, upload: Make) -> None:
    whole, broken = upload(MANY), upload(MANY, "other")
    whole.prepare()
    with pytest.raises(PreparationStopped):
        broken.prepare(after(60))
    with (broken.folder.work / "journal.jsonl").open("ab") as lines:
        lines.write(damage)
    with (broken.folder.work / "images.u8").open("ab") as images:
        images.write(b"x" * 1000)
    broken.prepare()
    assert broken.files() == whole.files()


def test_lines_without_pixels_are_done_again(upload: Make) -> None:
    whole, broken = upload(MANY), upload(MANY, "other")
    whole.prepare()
    with pytest.raises(PreparationStopped):
        broken.prepare(after(60))
    images = broken.folder.work / "images.u8"
    with images.open("r+b") as file:
        file.truncate(images.stat().st_size - 5000)
    broken.prepare()
    assert broken.files() == whole.files()


def test_prepared_set_is_not_prepared_again(upload: Make) -> None:
    made = upload(MANY)
    report = made.prepare()
    made.folder.archive.unlink()
    assert made.prepare() == report


def test_other_options_prepare_anew(upload: Make) -> None:
    made = upload({"a.png": noise(1, 80)})
    assert made.prepare().size == 64
    assert made.prepare(size=28).size == 28
    assert made.prepared.images.shape == (1, 3, 28, 28)


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_image_is_left_out_and_named(name: str, upload: Make) -> None:
    kind, make = BAD_IMAGES[name]
    made = upload({name: make(), "good.png": noise(1)})
    report = made.prepare(size=32)
    assert (report.count, report.left_out) == (1, 1)
    finding = made.findings()[name]
    assert (finding.kind, finding.used) == (kind, False)
    assert finding.message.startswith(f'"{name}" ')


def test_image_damaged_in_the_archive_is_left_out(upload: Make) -> None:
    data = noise(1)
    made = upload(zipped({"bad.png": data, "good.png": noise(2)}, 0).replace(data[100:140], bytes(40), 1))
    assert made.prepare().count == 1
    assert made.findings()["bad.png"].kind == "unreadable"


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return noise(7, kind="JPEG", exif=exif)


def half_transparent() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (40, 40), (255, 0, 0, 128)).save(buffer, "PNG")
    return buffer.getvalue()


def deep() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "name", "make"),
    [
        ("turned", "a.jpg", turned),
        ("transparent", "a.png", half_transparent),
        ("sixteen_bit", "a.png", deep),
        ("cmyk", "a.jpg", lambda: picture("JPEG", mode="CMYK", color=(0, 200, 0, 0))),
        ("extreme_shape", "a.png", lambda: picture(size=(400, 40))),
        ("grey", "a.png", lambda: picture(color=(90, 90, 90))),
        ("duplicate", "other.png", lambda: noise(1)),
        ("near_duplicate", "other.webp", lambda: noise(1, kind="WEBP", quality=90)),
        ("wrong_type", "notes.txt", lambda: b"hello"),
    ],
)
def test_oddity_is_found(kind: FindingKind, name: str, make: Callable[[], bytes], upload: Make) -> None:
    others = {f"b{n}.png": noise(n) for n in range(3)}
    made = upload({name: make(), **others})
    report = made.prepare(size=32)
    assert list(made.findings(kind)) == [name]
    assert report.findings[kind] == 1


def test_opaque_image_that_could_be_transparent_is_no_finding(upload: Make) -> None:
    made = upload({"a.png": picture(mode="RGBA", color=(1, 2, 3, 255)), "b.png": noise(1)})
    assert "transparent" not in made.prepare().findings


def test_name_in_an_odd_encoding_is_kept_and_a_finding(upload: Make) -> None:
    made = upload(zipped({"aXb.png": noise(1)}).replace(b"aXb.png", b"a\xe9b.png"))
    assert made.prepare().count == 1
    assert list(made.findings("odd_name")) == ["aΘb.png"]


def test_whole_crop_keeps_the_edges_on_white(upload: Make) -> None:
    made = upload({"a.png": picture(size=(80, 40), color=(255, 0, 0))})
    made.prepare(size=32, crop="whole")
    image: NDArray[np.uint8] = made.prepared.images[0]
    assert image[:, 0, 16].tolist() == [255, 255, 255]
    assert image[:, 16, 0].tolist() == [255, 0, 0]


def test_archive_without_one_usable_image_is_a_problem_that_names_them(upload: Make) -> None:
    made = upload({"a.png": b"", "b.png": picture(size=(2, 2))})
    with pytest.raises(DatasetProblem, match=r'no image can be used: "a.png" is empty.*"b.png" is 2x2 px'):
        made.prepare()
    assert not made.folder.prepared.exists()


def test_archive_that_would_fill_the_room_is_a_problem(upload: Make) -> None:
    with pytest.raises(DatasetProblem, match="at 128 px the images take 2 MB more, and there is room for 1 MB"):
        upload(MANY).prepare(size=128, free_bytes=1_000_000)
