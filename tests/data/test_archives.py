"""Images in archives, and what an archive must not do."""

from __future__ import annotations

import io
import pickle
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tellapart.config import ReadSettings
from tellapart.data import load_images
from tellapart.data.dataset import resize_dataset
from tellapart.errors import DataError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz")


def pack(folder: Path, ending: str) -> Path:
    """Pack a folder, under its own name, as people do."""
    path = folder.with_name(f"packed{ending}")
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(folder.parent))
            archive.writestr("__MACOSX/photos/1/._0.png", b"x")
    else:
        kind = ending.removeprefix(".tar").strip(".").removesuffix("2") + "tar"
        shutil.make_archive(str(folder.with_name("packed")), kind, folder.parent, folder.name)
    return path


@pytest.fixture
def photos(folder: Path) -> Path:
    (folder / "1" / "notes.txt").write_text("x")
    (folder / "2" / "without").write_bytes((folder / "2" / "0.png").read_bytes()[:300])
    return folder


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("memory_limit", [None, 20_000])
def test_an_archive_is_as_the_folder_in_it(
    photos: Path, ending: str, memory_limit: int | None
) -> None:
    expected = load_images(photos)
    found = load_images(pack(photos, ending), memory_limit=memory_limit)
    assert found.fingerprint == expected.fingerprint
    assert [name.partition("/")[2] for name in found.files] == list(expected.files)
    assert [one.path.partition("/")[2] for one in found.excluded] == ["2/without"]
    assert found.origin.startswith(f"archive packed{ending}: 12 images")
    found = pickle.loads(pickle.dumps(found))  # as another process gets it
    rows = np.array([7, 0, 11])
    for size in (20, 32):
        np.testing.assert_array_equal(
            resize_dataset(found, size).source.read(rows, size),
            resize_dataset(expected, size).source.read(rows, size),
        )


def test_a_compressed_tar_that_does_not_fit_is_refused(photos: Path) -> None:
    with pytest.raises(DataError, match=r"compressed tar.*unpack it, and give the folder"):
        load_images(pack(photos, ".tar.gz"), memory_limit=5_000)


def test_paths_that_lead_out_and_links_are_left_out(photos: Path, tmp_path: Path) -> None:
    path, image = pack(photos, ".zip"), (photos / "1" / "0.png").read_bytes()
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../../evil.png", "/etc/evil.png", "C:/evil.png", "a//b.png"):
            archive.writestr(name, image)
        link = zipfile.ZipInfo("My Images!/1/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    dataset = load_images(path)
    assert len(dataset) == 12
    reasons = {one.path: one.reason for one in dataset.excluded}
    assert reasons.pop("My Images!/1/link.png") == "a link"
    assert set(reasons) > {"../../evil.png", "/etc/evil.png", "C:/evil.png", "a//b.png"}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["My Images!", "packed.zip"]


def test_links_and_devices_of_a_tar_are_left_out(photos: Path) -> None:
    path = pack(photos, ".tar")
    with tarfile.open(path, "a") as archive:
        for name, kind in (
            ("link", tarfile.SYMTYPE),
            ("hard", tarfile.LNKTYPE),
            ("null", tarfile.CHRTYPE),
        ):
            info = tarfile.TarInfo(f"My Images!/1/{name}.png")
            info.type, info.linkname = kind, "../../../etc/passwd"
            archive.addfile(info)
    dataset = load_images(path)
    assert len(dataset) == 12
    assert [one.reason for one in dataset.excluded].count("not a regular file") == 3


def test_a_bomb_is_left_out(photos: Path) -> None:
    """Half a gigabyte of nothing: named too large before anything of it is unpacked."""
    path = pack(photos, ".zip")
    stream = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(stream, "PNG")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("My Images!/1/huge.png", stream.getvalue())
        with archive.open("My Images!/1/bomb.png", "w", force_zip64=True) as member:
            for _ in range(9):
                member.write(bytes(2**26))
    reasons = {one.path: one.reason for one in load_images(path).excluded}
    assert "pixels, at most" in reasons["My Images!/1/huge.png"]
    assert "603,979,776 bytes" in reasons["My Images!/1/bomb.png"]


def test_damaged_and_encrypted_members_are_left_out(photos: Path) -> None:
    path = pack(photos, ".zip")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            start = info.header_offset + 30 + len(info.filename)
            if info.filename.endswith("10/1.png"):
                content[start + 40 : start + 60] = bytes(20)
            if info.filename.endswith("10/2.png"):
                place = content.index(info.filename.encode(), archive.start_dir) - 46
                content[place + 8] |= 1
    path.write_bytes(bytes(content))
    reasons = {one.path.rpartition("/")[2]: one.reason for one in load_images(path).excluded}
    assert "damaged in its archive" in reasons["1.png"]
    assert reasons["2.png"] == "encrypted"


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_no_archive_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"page{ending}"
    path.write_text("<html>not found</html>")
    with pytest.raises(DataError, match=r"no zip or tar file that can be read .*fetch it again"):
        load_images(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="fetch it again"):
        load_images(path)


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
def test_an_archive_cut_short_is_refused_or_read_to_its_end(photos: Path, ending: str) -> None:
    path = pack(photos, ending)
    whole = path.read_bytes()
    for part in (3, 10):
        path.write_bytes(whole[: len(whole) * part // 16])
        with pytest.raises(DataError, match=r"fetch it again|two classes|no readable"):
            load_images(path)


def test_an_archive_that_changes_is_refused(photos: Path) -> None:
    path = pack(photos, ".tar")
    dataset = load_images(path, memory_limit=20_000)
    dataset = resize_dataset(dataset, 32)
    content = bytearray(path.read_bytes())
    start = content.index((photos / "2" / "1.png").read_bytes())
    content[start + 100 : start + 120] = bytes(20)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="its content has changed"):
        dataset.source.read(np.arange(12), 32)


def test_labels_may_be_in_the_names_of_members(
    tmp_path: Path, write_image: Callable[..., Path]
) -> None:
    for number in range(6):
        write_image(tmp_path / "all" / f"{'ab'[number % 2]}_{number}.png", number)
    found = load_images(pack(tmp_path / "all", ".zip"), read=ReadSettings(label_from=r"(\w)_\d"))
    assert found.classes == ("a", "b")


def test_an_archive_that_is_written_again_is_read_anew(folder: Path) -> None:
    before = load_images(pack(folder, ".zip"), memory_limit=0)
    assert len(before.source.read(np.arange(12))) == 12
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            turned = image.transpose(Image.Transpose.ROTATE_180)
        turned.save(path)
    after = load_images(pack(folder, ".zip"), memory_limit=0)
    assert not set(before.hashes) & set(after.hashes)


def test_a_path_of_thousands_of_folders_is_left_out(photos: Path) -> None:
    path = pack(photos, ".zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/" * 4000 + "x.png", (photos / "1" / "0.png").read_bytes())
    reasons = [one.reason for one in load_images(path).excluded]
    assert "nested in more than 100 folders" in reasons


def test_other_large_members_of_a_compressed_tar_are_not_held(photos: Path) -> None:
    (photos / "model.pt").write_bytes(np.random.default_rng(0).bytes(100_000))
    assert len(load_images(pack(photos, ".tar.gz"), memory_limit=90_000)) == 12
