import errno
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from tellapart.data.content import FileContent, explain_unreadable
from tellapart.data.decode import HEAD, Look, decode_image, look_at, looks_like_image
from tellapart.data.tone import Tone, scale_values
from tellapart.errors import DataError


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def make_scene(width: int = 64, height: int = 48) -> Image.Image:
    """A smooth image without any symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 / width, y * 255 / height, (x * y) * 255 / (width * height)]
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def test_header_tells_size_and_mode() -> None:
    assert look_at(encode(make_scene())) == Look(64, 48, "RGB")


LOSSY = {"JPEG": 6, "MPO": 3, "AVIF": 6}
PLAIN = ["PNG", "BMP", "TIFF", "WEBP", "JPEG", "PPM", "JPEG2000", "AVIF"]


@pytest.mark.parametrize("kind", [*PLAIN, "GIF", "MPO"])
def test_a_file_is_known_by_its_first_bytes(kind: str) -> None:
    assert looks_like_image(encode(make_scene(), kind)[:HEAD])


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_portable_maps_are_read(mode: str) -> None:
    """PBM, PGM and PPM, as bytes and as text."""
    image = make_scene().convert(mode)
    content, channels = encode(image, "PPM"), 1 if mode != "RGB" else 3
    assert looks_like_image(content[:HEAD])
    expected = decode_image(encode(image), 16, channels)
    np.testing.assert_array_equal(decode_image(content, 16, channels), expected)
    values = np.asarray(image).astype(int).ravel()
    number = {"1": 1, "L": 2, "RGB": 3}[mode]
    numbers = " ".join(str(one) for one in (1 - values if mode == "1" else values))
    text = f"P{number}\n# made\n64 48\n{'255' if number > 1 else ''}\n{numbers}\n".encode()
    np.testing.assert_array_equal(decode_image(text, 16, channels), expected)


@pytest.mark.parametrize(
    "content", [b"BMW is a make of car", b"P5 is a pitch", b"Plain", b"", b"II", bytes(16)]
)
def test_text_does_not_look_like_an_image(content: bytes) -> None:
    assert not looks_like_image(content[:HEAD])


@pytest.mark.parametrize("kind", PLAIN)
def test_the_whole_image_is_squashed_to_a_square(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(make_scene(), kind, **options)
    found = decode_image(content, 16, 3)
    expected = np.asarray(make_scene().resize((16, 16), Image.Resampling.BILINEAR))
    assert found.shape == (16, 16, 3)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found.astype(int), expected, atol=LOSSY.get(kind, 0))


def test_reduced_jpeg_decoding_stays_faithful() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    photo = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
    content = encode(photo, "JPEG", quality=95)
    full = Image.open(io.BytesIO(content)).resize((64, 64), Image.Resampling.BILINEAR)
    difference = np.abs(decode_image(content, 64, 3).astype(int) - np.asarray(full))
    assert difference.mean() < 1
    assert difference.max() <= 8


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(kind: str, orientation: int) -> None:
    upright = np.asarray(make_scene())
    # What a camera stores so that a viewer who follows the EXIF standard sees it upright.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"exif": exif}
    if kind in LOSSY:
        options |= {"quality": 95, "subsampling": "4:4:4"}
    if kind == "MPO":
        options |= {"save_all": True, "append_images": [image]}
    if kind == "WEBP":
        options["lossless"] = True
    found = decode_image(encode(image, kind, **options), 20, 3).astype(int)
    expected = decode_image(encode(make_scene()), 20, 3)
    np.testing.assert_allclose(found, expected, atol=3 if kind in LOSSY else 1)


def test_damaged_exif_does_not_cost_the_image() -> None:
    content = encode(make_scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert decode_image(content, 8, 3).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_levels(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65_535, 256).astype(np.uint16), (256, 1))
    found = decode_image(encode(Image.fromarray(ramp), kind), 256, 1)[0, :, 0].astype(int)
    assert len(set(found.tolist())) >= 200
    assert (np.diff(found) >= 0).all()
    assert found[0] == 0
    assert found[-1] == 255


def test_big_endian_sixteen_bit_tiff() -> None:
    ramp = np.tile(np.linspace(0, 65_535, 256).astype(">u2"), (4, 1))
    entries = [(256, 256), (257, 4), (258, 16), (259, 1), (262, 1), (273, 200), (278, 4)]
    entries.append((279, ramp.nbytes))
    header = b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries))
    for tag, value in entries:
        header += struct.pack(">HHIHH", tag, 3, 1, value, 0)
    content = (header + bytes(4)).ljust(200, b"\0") + ramp.tobytes()
    assert look_at(content).mode == "I;16B"
    found = decode_image(content, 256, 1)[0, :, 0]
    np.testing.assert_allclose(found, np.arange(256), atol=1)


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    grey = Image.new("LA", (8, 8), (10, 0))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert (decode_image(encode(clear), 4, 3) == 255).all()
    assert (decode_image(encode(half), 4, 3) == 127).all()
    assert (decode_image(encode(grey), 4, 1) == 255).all()
    assert decode_image(encode(palette), 4, 3)[0, 0].tolist() == [255, 0, 0]
    assert (decode_image(encode(palette, transparency=1), 4, 3) == 255).all()


def test_one_bit_and_cmyk_are_converted() -> None:
    assert (decode_image(encode(Image.new("1", (8, 8), 1)), 4, 3) == 255).all()
    ink = decode_image(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), 4, 3)
    assert ink[0, 0, 0] > 200
    assert ink[0, 0, 1] < 60


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode_image(content, 4, 3)[0, 0].tolist() == [255, 0, 0]


def test_grey_from_colour() -> None:
    white = encode(Image.new("RGB", (8, 8), "white"))
    assert decode_image(white, 4, 1).tolist() == [[[255]] * 4] * 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes"),
        (b"hello, no image", "not an image"),
        (b"<html>404</html>", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        decode_image(content, 8, 3)


def test_truncation_is_seen_everywhere(write_image: Callable[..., Path], tmp_path: Path) -> None:
    content = write_image(tmp_path / "a.jpg", size=(100, 80)).read_bytes()
    for part in range(1, 16):
        with pytest.raises(DataError, match=r"damaged|not an image"):
            decode_image(content[: len(content) * part // 16], 8, 3)


def test_damage_before_the_pixels_is_told_from_other_files() -> None:
    text = b"\0\0\0\3tEXta\0b" + bytes(4)  # without its checksum
    content = encode(make_scene())
    with pytest.raises(DataError, match="damaged before its pixels begin"):
        look_at(content[:33] + text + content[33:])


def test_a_bad_checksum_is_seen() -> None:
    content = bytearray(encode(make_scene()))
    at = content.index(b"IDAT") + 20
    content[at] ^= 255
    with pytest.raises(DataError, match="damaged"):
        look_at(bytes(content))


@pytest.mark.parametrize("side", [9_200, 30_000])
def test_a_decompression_bomb_is_refused(side: int) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb += chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    with pytest.raises(DataError, match=f"^{side**2:,} pixels, at most 80,000,000 are allowed"):
        decode_image(bomb, 8, 3)
    assert Image.MAX_IMAGE_PIXELS is not None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16", "F"])
def test_a_large_image_is_reduced_faithfully(mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    photo = Image.fromarray(noise).resize((2501, 1777), Image.Resampling.BICUBIC)
    if mode in ("I;16", "F"):
        grey = np.asarray(photo.convert("L"))
        wide = grey * np.uint16(257) if mode == "I;16" else grey.astype(np.float32) * 3 - 90
        photo = Image.fromarray(wide)
        plain = Image.fromarray(scale_values(wide, Tone()))
    else:
        photo = photo.convert(mode)
        plain = photo
    exif = Image.Exif()
    exif[0x0112] = 8
    content = encode(photo, "TIFF" if mode == "F" else "PNG", exif=exif, compress_level=1)
    for size in (8, 64):
        expected = plain.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        expected = expected.transpose(Image.Transpose.ROTATE_90)
        found = decode_image(content, size, 3).astype(int)
        assert abs(found - np.asarray(expected)).max() <= 6
        assert abs(found - np.asarray(expected)).mean() < 1


def test_a_row_of_pixels_keeps_its_brightness() -> None:
    row = Image.new("RGB", (9_000_000, 1), (10, 20, 30))
    assert (decode_image(encode(row, compress_level=1), 8, 3) == (10, 20, 30)).all()


GROWN = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from tellapart.data import content, decode
from tellapart.device import return_memory
return_memory()  # as load_images does
decode._PIXELS = content.Room(13_000_000)  # less than MOST_PIXELS, to be quick
files = [open(name, "rb").read() for name in sys.argv[1:]]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda held: decode.decode_image(held, 64, 3), 3 * files))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are in kilobytes here alone")
def test_memory_for_decoding_is_bounded_however_many_decode(tmp_path: Path) -> None:
    side = 2_500
    images = {
        "a.png": Image.fromarray(np.full((side, side), 3000, np.uint16)),
        "b.png": Image.new("RGBA", (side, side), (10, 20, 30, 200)),
        "c.tif": Image.fromarray(np.full((side, side), 0.5, np.float32)),
    }
    for name, image in images.items():
        options = {"compression": "tiff_deflate"} if name == "c.tif" else {"compress_level": 1}
        image.save(tmp_path / name, **options)
    paths = [str(tmp_path / name) for name in images]
    done = subprocess.run([sys.executable, "-c", GROWN, *paths], capture_output=True, check=True)
    assert int(done.stdout) < 260  # two images of 25 MB, and what their conversion takes


def test_lack_of_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(make_scene())

    def fail(error: Exception) -> None:
        def load(image: Image.Image) -> None:
            raise error

        monkeypatch.setattr(ImageFile.ImageFile, "load", load)
        decode_image(content, 8, 3)

    for error in (MemoryError("no room"), OSError("out of memory when reading image file")):
        with pytest.raises(MemoryError):
            fail(error)


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFO on Windows")
def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("x.png", "zero.png"):
        with pytest.raises(DataError, match="not a regular"), FileContent(tmp_path / name).open():
            pass


def test_what_may_pass_is_no_fault_of_the_file() -> None:
    assert "Permission denied" in explain_unreadable(
        PermissionError(errno.EACCES, "Permission denied")
    )
    for number in (errno.EMFILE, errno.EIO, errno.ENOMEM, errno.ESTALE):
        with pytest.raises(OSError, match=os.strerror(number)):
            explain_unreadable(OSError(number, os.strerror(number)))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"
    with pytest.raises(DataError, match=r"cannot be read \(No such"), FileContent(gone).open():
        pass


def test_a_phone_s_heic_is_read() -> None:
    pytest.importorskip("pillow_heif", reason="the extra heic is not installed here")
    content = encode(make_scene(), "HEIF", quality=95)
    assert looks_like_image(content[:HEAD])
    expected = decode_image(encode(make_scene()), 16, 3).astype(int)
    np.testing.assert_allclose(decode_image(content, 16, 3), expected, atol=8)


def test_a_program_that_is_named_as_an_image_is_not_run() -> None:
    """PostScript draws by running: what Pillow would give to another program."""
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EOF\n"
    assert not looks_like_image(content[:HEAD])
    with pytest.raises(DataError, match="not an image in JPEG"):
        look_at(content)
