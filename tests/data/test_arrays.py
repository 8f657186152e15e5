"""Arrays of images in files, and those that a program hands over."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tellapart.config import ReadSettings
from tellapart.data import Dataset, load_images
from tellapart.data.split import make_split
from tellapart.errors import DataError, SettingError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (20, 8, 8, 3), np.uint8)
Y = np.arange(20) % 3


def save_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    np.savez_compressed(path, allow_pickle=False, **dict(arrays))


def check(dataset: Dataset, images: NDArray[np.uint8] = X) -> None:
    assert dataset.classes == ("0", "1", "2")
    assert dataset.labels.tolist() == Y[: len(dataset)].tolist()
    np.testing.assert_array_equal(dataset.source.read(np.arange(len(dataset))), images)


@pytest.mark.parametrize(
    ("images", "labels"),
    [("images", "labels"), ("x", "y"), ("X", "Y"), ("data", "target"), ("arr_images", "arr_label")],
)
def test_npz_of_usual_keys(tmp_path: Path, images: str, labels: str) -> None:
    save_npz(tmp_path / "set.npz", {images: X, labels: Y})
    found = load_images(tmp_path / "set.npz")
    check(found)
    assert found.origin == "arrays set: 20 images"


@pytest.mark.parametrize(
    "keys",
    [
        "x_train y_train x_test y_test",
        "train_images train_labels test_images test_labels",
        "trainX trainY testX testY",
    ],
)
def test_npz_of_splits(tmp_path: Path, keys: str) -> None:
    """As Keras and MedMNIST write them."""
    arrays = dict(zip(keys.split(), (X[:12], Y[:12, None], X[12:], Y[12:, None]), strict=True))
    save_npz(tmp_path / "set.npz", arrays)
    found = load_images(tmp_path / "set.npz")
    check(found)
    assert found.roles == ("train",) * 12 + ("test",) * 8


def test_npy_pairs(tmp_path: Path) -> None:
    for name, array in (("images", X), ("labels", Y), ("x_test", X[:4]), ("y_test", Y[:4])):
        np.save(tmp_path / f"{name}.npy", array)
    check(load_images(tmp_path / "images.npy"))
    with pytest.raises(DataError, match="images to train on"):
        make_split(load_images(tmp_path / "x_test.npy"))


def test_other_keys_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", a=X, b=Y)
    with pytest.raises(DataError, match=r"has a, b; .*--image-column"):
        load_images(tmp_path / "set.npz")
    check(load_images(tmp_path / "set.npz", read=ReadSettings(image_column="a", label_column="b")))


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (X.transpose(0, 3, 1, 2), (8, 8, 3)),
        (X[..., 0], (8, 8, 1)),
        (X[..., :1], (8, 8, 1)),
        (X[:, :8, :, 0].reshape(20, 64), (8, 8, 1)),
    ],
)
def test_shapes_are_turned(images: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    found = load_images((images, Y)).source.read(np.arange(20))
    assert found.shape[1:] == shape
    np.testing.assert_array_equal(found, X[:, : shape[0], :, : shape[2]])


def test_depths_are_scaled_alike() -> None:
    floats = X / np.float32(255)
    check(load_images((floats, Y)))
    check(load_images((X.astype(np.int64), Y)))
    deep = load_images((X.astype(np.uint16) * 16, Y))
    assert any("scaled as 12 bits" in note for note in deep.notes)
    assert load_images((X > 100, Y)).source.read(np.arange(20)).max() == 255
    standard = load_images(((X - 127.5) / 70, Y)).source.read(np.arange(20))
    assert (standard.min(), standard.max()) == (0, 255)


def test_labels_of_any_kind() -> None:
    check(load_images((X, np.eye(3)[Y])))
    check(load_images((X, Y.astype(np.float32))))
    check(load_images((X, Y.tolist())))
    assert load_images((X, np.array(["a", "b", "c"])[Y])).classes == ("a", "b", "c")
    assert load_images((X, np.array([b"a", b"b", b"c"])[Y])).classes == ("a", "b", "c")


def test_class_names_may_come_along(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=X, labels=Y, class_names=["cat", "dog", "owl"])
    assert load_images(tmp_path / "set.npz").classes == ("cat", "dog", "owl")


def test_arrays_of_keras() -> None:
    found = load_images(((X[:12], Y[:12]), (X[12:], Y[12:])))
    check(found)
    assert found.roles.count("test") == 8
    check(load_images({"train": (X[:12], Y[:12]), "val": (X[12:], Y[12:])}))


def test_groups_of_arrays() -> None:
    groups = [None, np.nan, *(f"p{row // 4}" for row in range(2, 20))]
    found = load_images((X, Y, groups))
    check(found)
    assert found.names[:5] == ("", "", "p0", "p0", "p1")
    parts = load_images(((X[:12], Y[:12], np.arange(12) // 3), (X[12:], Y[12:])))
    assert parts.names == tuple(str(row // 3) for row in range(12)) + ("",) * 8
    with pytest.raises(DataError, match="groups and labels must be as many, but got 5 and 20"):
        load_images((X, Y, groups[:5]))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (X, Y[:5], "as many, but the arrays have 20 and 5"),
        (X[0], Y, "must be as many|must be"),
        (np.zeros((20, 4, 4, 2)), Y, "1 or 3 channels last or first"),
        (X, np.zeros(20), "two classes or more"),
        (X, Y * 1.5, r"must be classes, but got numbers such as 1\.5; give whole"),
        (np.full((20, 4, 4), np.nan), Y, "must have values, but all of theirs are nan"),
        (X, np.ones((20, 3)), "several labels an image"),
        (np.full((20, 4, 4), "a"), Y, "must be numbers"),
        (X, np.zeros((20, 2, 2)), r"must be \(n,\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    images: NDArray[np.uint8], labels: NDArray[np.int64], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        load_images((images, labels))


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "canary",))

    np.savez(tmp_path / "set.npz", images=np.array([Canary()], object), labels=Y)
    np.save(tmp_path / "images.npy", np.array([Canary()], object), allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Canary()))
    for name in ("set.npz", "images.npy", "pickle.npy"):
        with pytest.raises(DataError, match=r"holds pickled objects|does not begin as one does"):
            load_images(tmp_path / name)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("ending", [".npz", ".npy", ".h5"])
def test_what_is_no_array_is_refused(tmp_path: Path, ending: str) -> None:
    if ending == ".h5":
        pytest.importorskip("h5py")
    path = tmp_path / f"set{ending}"
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"no file of arrays that can be read|pickled"):
        load_images(path)


def test_too_large_for_the_memory_is_refused() -> None:
    with pytest.raises(DataError, match="must fit into memory"):
        load_images((X, Y), memory_limit=100)


def test_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["images"], file["labels"] = X, Y
        file["names"] = ["cat", "dog", "owl"]
    assert load_images(tmp_path / "set.h5").classes == ("cat", "dog", "owl")


def test_hdf5_pairs(tmp_path: Path) -> None:
    """A file of x and one of y for each split, labels of shape (n, 1, 1, 1)."""
    h5py = pytest.importorskip("h5py")
    for kind, array in (("x", X), ("y", Y.reshape(-1, 1, 1, 1))):
        with h5py.File(tmp_path / f"level_2_split_train_{kind}.h5", "w") as file:
            file[kind] = array
    found = load_images(tmp_path / "level_2_split_train_x.h5")
    check(found)


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = X
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["images"], file["labels"] = h5py.ExternalLink("other.h5", "/images"), Y
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("images", X.shape, "u1", external=[("/etc/passwd", 0, X.size)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(X.shape, "u1")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "images", X.shape)
        file.create_virtual_dataset("images", layout)
    for name in ("link.h5", "raw.h5", "virtual.h5"):
        with pytest.raises(DataError, match="must hold its arrays, but 'images'"):
            load_images(tmp_path / name)


def make_files(folder: Path) -> list[str]:
    for number, pixels in enumerate(X):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return [str(folder / f"{number:02}.png") for number in range(len(X))]


def test_a_frame_of_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    files = make_files(tmp_path)
    frame = pandas.DataFrame({"path": [Path(file) for file in files], "label": Y, "site": "north"})
    found = load_images(frame, read=ReadSettings(images=tmp_path))
    assert found.labels.tolist() == Y.tolist() and found.facts["site"][0] == "north"
    monkeypatch.chdir(tmp_path)
    frame["path"] = [Path(file).name for file in files]
    assert load_images(frame).fingerprint == found.fingerprint
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    frame["path"] = files  # absolute ones
    assert load_images(frame).fingerprint == found.fingerprint


@pytest.mark.filterwarnings("ignore")  # of its own
def test_the_hub_s_datasets(tmp_path: Path) -> None:
    """With the real library, where it is installed."""
    pyarrow = pytest.importorskip("pyarrow")
    hub = pytest.importorskip("datasets", reason="the hub's library is not installed here")
    names = hub.ClassLabel(names=["cat", "dog", "owl"])
    features = hub.Features({"image": hub.Image(), "label": names})
    cells = [{"bytes": None, "path": file} for file in make_files(tmp_path)]
    table = pyarrow.table({"image": cells, "label": Y}, schema=features.arrow_schema)
    made = hub.Dataset(table, hub.DatasetInfo(features=features), fingerprint="made")
    found = load_images(made.select(range(3, 20)))
    assert found.classes == ("cat", "dog", "owl")
    assert found.labels.tolist() == Y[3:].tolist()
    parts = hub.DatasetDict(
        {"train": made.select(range(12)), "validation": made.select(range(12, 20))}
    )
    assert load_images(parts).roles == ("train",) * 12 + ("val",) * 8


@pytest.mark.parametrize("data", [3, None, [1, 2], {"train": X}, (X, Y, Y, Y), {"other": (X, Y)}])
def test_other_things_are_refused(data: object) -> None:
    with pytest.raises(DataError, match=r"DATA must be|labels must be|arrays of images must be"):
        load_images(data)


def test_parts_keep_their_roles_without_a_test() -> None:
    found = load_images({"train": (X[:12], Y[:12]), "val": (X[12:], Y[12:])})
    assert found.roles == ("train",) * 12 + ("val",) * 8
    with pytest.raises(DataError, match="train, val and test, but one is 'unlabeled'"):
        load_images({"train": (X, Y), "unlabeled": (X, Y)})


def test_arrays_that_are_no_squares_are_squashed() -> None:
    wide = RNG.integers(0, 256, (20, 16, 24, 3), np.uint8)
    found = load_images((wide, Y))
    assert found.source.read(np.arange(20)).shape == (20, 16, 16, 3)
    image = Image.fromarray(wide[3]).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found.source.read(np.array([3]))[0], np.asarray(image))


def test_settings_of_files_say_nothing_of_arrays() -> None:
    with pytest.raises(SettingError, match="--min-images says nothing of arrays"):
        load_images((X, Y), read=ReadSettings(min_images=3))


def test_a_frame_with_equal_images_keeps_them_all(tmp_path: Path) -> None:
    """Two classes of one picture are for the audit to find."""
    pandas = pytest.importorskip("pandas")
    contents = [Path(file).read_bytes() for file in make_files(tmp_path)]
    contents[1] = contents[0]
    found = load_images(pandas.DataFrame({"image": contents, "label": [str(one) for one in Y]}))
    assert len(found) == 20 and found.groups[0] == found.groups[1]


@pytest.mark.parametrize("data", [([X[0], X[1][:4]], [0, 1]), (X[:0].astype(np.uint16), Y[:0])])
def test_ragged_and_empty_arrays_are_refused(data: object) -> None:
    with pytest.raises(DataError):
        load_images(data)


def test_damaged_archives_of_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    save_npz(path, {"images": X, "labels": Y})
    whole = path.read_bytes()
    for part in (0.3, 0.9):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(DataError, match="no file of arrays that can be read"):
            load_images(path)
    path.write_bytes(whole)
    with ZipFile(path, "a") as archive:
        archive.writestr("image_names.txt", "x")
        archive.writestr("images_ids.npy", b"text")
    assert len(load_images(path)) == 20


def test_keys_of_names_and_numbers_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "My Set.npz"
    arrays = {
        "images": X,
        "targets": Y,
        "target_names": np.array([b"a", b"b", b"c"]),
        "image_ids": Y,
    }
    save_npz(path, arrays)
    found = load_images(path)
    assert (found.name, found.classes) == ("my-set", ("a", "b", "c"))
    assert found.folder == str(path)


def test_a_class_that_train_lacks_is_refused() -> None:
    labels = np.arange(len(X)) % 2
    with pytest.raises(DataError, match="must have images in train, but there are none of 2"):
        load_images({"train": (X, labels), "test": (X, labels + 1)})
