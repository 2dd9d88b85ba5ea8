"""Archives judged, and what random damage does to them: never anything but a problem told in words."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.datasets.archives import ArchiveProblem, Gunzip, Limits, check_archive, open_archive
from models.datasets.uploads import UploadFolder, folder_size, new_folder, remove, sweep
from tests.fixtures.hostile import RED, entry, patched, tarred, zipped
from worker.data.uploads import _read

LIMITS = Limits(files=100, unpacked_bytes=1 << 20, file_bytes=1 << 16, ratio=200)
WHOLE = {
    "zip": zipped({"cat/a.png": RED, "dog/b.png": RED, "notes.txt": b"hello"}),
    "tar": tarred("cat/a.png", "dog/" + "long" * 40 + "/b.png"),
}


def put(folder: Path, data: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", WHOLE)
def test_images_are_listed_by_name_and_read(kind: str, tmp_path: Path) -> None:
    with open_archive(put(tmp_path, WHOLE[kind]), LIMITS) as (archive, contents):
        assert [member.name[:5] for member in contents.images] == ["cat/a", "dog/l" if kind == "tar" else "dog/b"]
        assert [_read(archive, member) for member in contents.images] == [RED, RED]


def test_zip_of_64_bits_is_read(tmp_path: Path) -> None:
    """Every field that can have 64 bits has: of the file, and of the directory's end."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made, made.open("a.png", "w", force_zip64=True) as file:
        file.write(RED)
    data = buffer.getvalue()
    end = data.rindex(b"PK\x05\x06")
    length, offset = struct.unpack_from("<LL", data, end + 12)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, length, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    old = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with open_archive(put(tmp_path, data[:end] + end64 + locator + old), LIMITS) as (archive, contents):
        assert [_read(archive, member) for member in contents.images] == [RED]


def test_directory_far_too_long_for_its_files_is_not_read(tmp_path: Path) -> None:
    data = patched(zipped({"a.png": RED}), b"PK\x05\x06", 12, b"\xff\xff\xff\x0f")
    with pytest.raises(ArchiveProblem, match="directory is far too long"):
        check_archive(put(tmp_path, data), LIMITS)


@pytest.mark.parametrize(
    ("name", "path"),
    [("./a//b.png", "a/b.png"), ("a\\b.png", "a/b.png"), ("e\u0301.png", "é.png"), ("日本.png", "日本.png")],
)
def test_harmless_names_are_made_plain(name: str, path: str, tmp_path: Path) -> None:
    assert [member.name for member in check_archive(put(tmp_path, entry(name)), LIMITS).images] == [path]


def test_limits_hold(tmp_path: Path) -> None:
    with pytest.raises(ArchiveProblem, match="more than 100 files"):
        check_archive(put(tmp_path, zipped({f"{n}.png": b"" for n in range(101)})), LIMITS)
    with pytest.raises(ArchiveProblem, match=r"more than 1,048,576 bytes"):
        check_archive(put(tmp_path, zipped({f"{n}.txt": bytes(1 << 16) for n in range(17)})), LIMITS)
    with pytest.raises(ArchiveProblem, match="an image may have at most 65,536"):
        check_archive(put(tmp_path, zipped({"a.png": bytes((1 << 16) + 1)})), LIMITS)


@pytest.mark.parametrize("kind", WHOLE)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 1 << 14),
)
def test_damage_is_told_or_harmless(kind: str, changes: list[tuple[int, int]], cut: int, tmp_path: Path) -> None:
    data = bytearray(WHOLE[kind])
    for place, value in changes:
        data[place % len(data)] = value
    if cut < len(data):
        del data[len(data) - cut % 64 :]
    try:
        with open_archive(put(tmp_path, bytes(data)), LIMITS) as (archive, contents):
            for member in contents.images:
                assert len(_read(archive, member)) <= LIMITS.file_bytes
    except ArchiveProblem:
        return


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=600), level=st.integers(0, 9), pieces=st.lists(st.integers(1, 40), min_size=1))
def test_gzip_in_any_pieces_unfolds_to_what_it_was(data: bytes, level: int, pieces: list[int]) -> None:
    packed = gzip.compress(data, level) + gzip.compress(data, level)
    gunzip, out = Gunzip(LIMITS), bytearray()
    while packed:
        size = pieces[len(packed) % len(pieces)]
        out += b"".join(gunzip.feed(packed[:size]))
        packed = packed[size:]
    gunzip.finish()
    assert out == data * 2


def test_gzip_of_megabytes_comes_in_pieces() -> None:
    gunzip = Gunzip(Limits(files=1, unpacked_bytes=1 << 24, file_bytes=1, ratio=2000))
    pieces = list(gunzip.feed(gzip.compress(bytes(5_000_000))))
    gunzip.finish()
    assert (sum(map(len, pieces)), max(map(len, pieces))) == (5_000_000, 1 << 20)


def test_gzip_of_many_blocks_is_unfolded() -> None:
    """As bgzip and parallel packers write it."""
    gunzip = Gunzip(Limits(files=1, unpacked_bytes=1 << 24, file_bytes=1, ratio=2000))
    block = gzip.compress(os.urandom(5000))
    assert sum(len(piece) for _ in range(1200) for piece in gunzip.feed(block)) == 6_000_000
    gunzip.finish()


def test_headers_of_a_tar_are_not_collected(tmp_path: Path) -> None:
    """A header for all files before each of 80: together far more than is held at once."""
    head = tarfile.TarInfo.create_pax_global_header
    parts = [head({f"{n}": "x" * 60_000}) + tarred(f"{n}.png")[:1024] for n in range(80)]
    path = put(tmp_path, b"".join(parts) + bytes(1024))
    tracemalloc.start()
    try:
        assert len(check_archive(path, replace(LIMITS, unpacked_bytes=1 << 24)).images) == 80
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_folder_of_an_upload_that_fails_is_gone(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path, "a") as folder:
            folder.archive.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert folder_size(tmp_path) == 0


def test_sweep_takes_what_no_row_names_unless_it_is_prepared_and_nobody_deleted_it(tmp_path: Path) -> None:
    for name in ("known", "broken", "prepared", "deleted"):
        with new_folder(tmp_path, name):
            pass
    for name in ("prepared", "deleted"):
        (tmp_path / name / "prepared").mkdir()
    (tmp_path / "deleted" / "deleted").touch()
    (tmp_path / ".gone-before").mkdir()
    sweep(tmp_path, lambda: {"known"})
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["known", "prepared"]


def test_sweep_leaves_an_upload_that_succeeds_meanwhile(tmp_path: Path) -> None:
    with new_folder(tmp_path, "dead"):
        pass
    with ExitStack() as upload:
        upload.enter_context(new_folder(tmp_path, "alive"))

        def known() -> set[str]:
            rows: set[str] = set()
            upload.close()
            return rows

        sweep(tmp_path, known)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["alive"]


@pytest.mark.parametrize("data", [b"", b"[1", bytes(8), b"null", b"{}"])
def test_what_a_power_cut_left_of_small_files_is_as_nothing(data: bytes, tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path)
    for name in ("progress.json", "failure.json"):
        (tmp_path / name).write_bytes(data)
    assert (folder.progress(), folder.failure()) == ((0, 0), None)


def test_removing_where_no_upload_ever_came_is_nothing(tmp_path: Path) -> None:
    remove(tmp_path / "uploads", "a")


def test_removing_takes_a_prepared_set_and_may_be_repeated(tmp_path: Path) -> None:
    with new_folder(tmp_path, "a") as folder:
        folder.prepared.mkdir()
    for _ in range(2):
        remove(tmp_path, "a")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_archive_that_two_sets_share_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert folder_size(tmp_path) == 1000
