"""Medical images, as the standard has them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tellapart.data import load_images
from tellapart.data.decode import HEAD, decode_image, look_at, looks_like_image
from tellapart.errors import DataError

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed here")


Tags = dict[str, Any]


def make_file(values: NDArray[np.generic], patient: str = "", **tags: Any) -> bytes:
    """Return a DICOM file of stored values, with these tags besides."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("made", {}, file_meta=meta, preamble=bytes(128))
    made.PatientID = patient
    made.SamplesPerPixel = 3 if values.ndim == 3 and values.shape[2] == 3 else 1
    made.PhotometricInterpretation = "RGB" if made.SamplesPerPixel == 3 else "MONOCHROME2"
    if made.SamplesPerPixel == 3:
        made.PlanarConfiguration = 0
    made.Rows, made.Columns = values.shape[-2:] if made.SamplesPerPixel == 1 else values.shape[:2]
    made.BitsAllocated = made.BitsStored = 8 * values.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    made.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


RAMP = np.tile(np.arange(0, 4096, 16, dtype=np.int16), (256, 1))  # 256 values


def decode(content: bytes) -> list[int]:
    found: list[int] = decode_image(content, 256, 1)[0, :, 0].tolist()
    return found


def test_it_is_known_by_its_content() -> None:
    content = make_file(RAMP, "p 7")
    assert looks_like_image(content[:HEAD])
    found = look_at(content)
    assert (found.width, found.height, found.patient) == (256, 256, "p 7")
    assert found.depth is not None and (found.depth.least, found.depth.most) == (0, 4080)


def test_the_window_says_what_is_black_and_white() -> None:
    """Hounsfield units from -1024 on; a window of 400 around 40."""
    tags: Tags = {
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "WindowCenter": 40,
        "WindowWidth": 400,
    }
    found = decode(make_file(RAMP, **tags))
    units = RAMP[0].astype(float) - 1024
    expected = np.clip((units - 39.5) / 399 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(found, expected, atol=1)


def test_where_low_values_are_white_they_are_turned() -> None:
    window: Tags = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = np.array(decode(make_file(RAMP.astype(np.uint16), **window)), np.int64)
    turned = decode(
        make_file(RAMP.astype(np.uint16), PhotometricInterpretation="MONOCHROME1", **window)
    )
    assert turned == (255 - plain).tolist() and plain[0] == 0


def test_colours_and_frames() -> None:
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[..., 1] = 200
    assert decode_image(make_file(colours), 4, 3)[0, 0].tolist() == [0, 200, 0]
    frames = np.stack([np.full((8, 8), value, np.uint8) for value in (10, 250)])
    tags: Tags = {"WindowCenter": 128, "WindowWidth": 256}
    content = make_file(frames, NumberOfFrames=2, **tags)
    assert abs(int(decode_image(content, 4, 1)[0, 0, 0]) - 10) <= 1


def test_a_folder_has_one_scale_and_patients_are_groups(tmp_path: Path) -> None:
    for number in range(8):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        values = np.full((16, 16), 100 * (number + 1), np.uint16)
        values[0, 0] = 0
        (folder / f"IM{number}").write_bytes(make_file(values, f"p{number // 4}"))
    dataset = load_images(tmp_path)
    assert len(dataset) == 8 and sorted(set(dataset.names)) == ["p0", "p1"]
    assert "images of one patient are a group, which no split divides" in dataset.notes
    means = dataset.source.read(np.arange(8)).reshape(8, -1).mean(1)
    assert len(set(means.round().tolist())) == 8
    assert means.argsort().tolist() == np.argsort([int(f[-1]) for f in dataset.files]).tolist()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_damaged_files_are_refused(part: float) -> None:
    content = make_file(RAMP)
    with pytest.raises(DataError):
        look_at(content[: int(part * len(content))])


def test_a_file_without_an_image_is_refused() -> None:
    content = make_file(RAMP)
    found = pydicom.dcmread(io.BytesIO(content))
    del found.PixelData
    stream = io.BytesIO()
    found.save_as(stream)
    with pytest.raises(DataError, match="without an image"):
        look_at(stream.getvalue())


def test_colours_of_other_spaces_are_those_that_were_meant() -> None:
    red = Image.new("RGB", (8, 8), (200, 30, 60))
    plain = np.asarray(red.convert("YCbCr"))
    content = make_file(plain, PhotometricInterpretation="YBR_FULL")
    found = decode_image(content, 4, 3)[0, 0].astype(int)
    assert np.abs(found - (200, 30, 60)).max() <= 2
    deep = np.full((8, 8, 3), (51_200, 256, 65_535), np.uint16)
    assert decode_image(make_file(deep), 4, 3)[0, 0].tolist() == [200, 1, 255]


def test_a_deflated_file_is_refused_before_it_is_unpacked() -> None:
    content = make_file(RAMP).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    with pytest.raises(DataError, match="a deflated DICOM file"):
        look_at(content)


def test_one_patient_for_all_is_no_group(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        content = make_file(RAMP[:16, :16] + np.int16(number), "anonymous")
        (tmp_path / "ab"[number % 2] / f"{number}.dcm").write_bytes(content)
    assert load_images(tmp_path).names == ()
