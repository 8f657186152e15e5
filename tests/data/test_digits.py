import numpy as np
from sklearn import datasets

from tellapart.data.digits import load_digits


def test_pixels_and_labels_are_those_of_scikit_learn() -> None:
    dataset = load_digits()
    bunch = datasets.load_digits()
    pixels = dataset.source.read(np.arange(len(dataset)))
    assert pixels.shape == (1797, 8, 8, 1)
    assert pixels.min() == 0
    assert pixels.max() == 255
    np.testing.assert_allclose(pixels[..., 0] / 255 * 16, bunch.images, atol=0.04)
    np.testing.assert_array_equal(dataset.labels, bunch.target)
    assert dataset.classes == tuple("0123456789")
    assert set(dataset.roles) == {""}


def test_fingerprint_is_stable() -> None:
    assert load_digits().fingerprint == load_digits().fingerprint
