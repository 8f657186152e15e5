from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.data import fetch_data, load_images
from tellapart.errors import DataError


def test_a_misspelt_name_gets_the_nearest_and_the_list() -> None:
    with pytest.raises(DataError, match=r"did you mean 'digits'\?.*digits, cifar10.*folder"):
        load_images("digit")
    with pytest.raises(DataError, match="did you mean 'cifar10'"):
        fetch_data("cifar1")


def test_a_name_wins_over_a_folder_unless_it_is_written_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_image: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "digits" / "a" / "1.png", 1)
    write_image(tmp_path / "digits" / "b" / "1.png", 2)
    assert len(load_images("digits")) == 1797
    assert len(load_images("./digits")) == 2
    assert len(load_images(Path("digits"))) == 2
    assert load_images(Path("digits")).files == ("a/1.png", "b/1.png")


@pytest.mark.parametrize("data", ["no/such", "./none", "~/none-at-all", "gone.csv"])
def test_a_missing_folder_is_named(data: str) -> None:
    with pytest.raises(DataError, match=r"folder .* does not exist"):
        load_images(data)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("a,b\n")
    with pytest.raises(DataError, match=r"a file that ends in \.csv, .* but got"):
        load_images(str(path))


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(DataError, match="not known"):
        load_images("")


def test_embedded_data_need_no_fetching() -> None:
    assert fetch_data("digits") is None
