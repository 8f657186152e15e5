"""From images to class names: one callable of any model, from scratch or on a backbone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tellapart.data.dataset import Dataset, Indices, Pixels
from tellapart.data.decode import FAINT, GREY_MODES, decode_image
from tellapart.data.loading import hash_content, hash_toned
from tellapart.data.tone import Tone
from tellapart.device import DeviceName, choose_device, count_cores
from tellapart.errors import DataError, NotFinite, SettingError
from tellapart.metrics.selective import choose_surest
from tellapart.predict.answers import Answers, join_answers
from tellapart.predict.engines import FEW_PIXELS, Engine, Numbers, choose_engine
from tellapart.predict.folder import find_folder, read_args
from tellapart.predict.inputs import Item, list_items
from tellapart.predict.reference import Reference, mark_hash, read_reference
from tellapart.records import PredictorArgs
from tellapart.stop import check_stop

if TYPE_CHECKING:
    from tellapart.predict.network import PixelClassifier

BATCH_BYTES, CHUNK_BYTES, CHUNK = 5_000_000, 120_000_000, 4096
"""Pixels in one call of an engine, and in memory in all; and images at once, at most."""
ERRORS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3)
"""Errors that may be promised, for a word on the least."""

Progress = Callable[[int, int], None]


class Predictor:
    """A model that is ready to classify; `load_predictor` makes one.

    Attributes:
        args: all that is known of it: classes, preprocessing, score, where it is from.
    """

    def __init__(
        self,
        args: PredictorArgs,
        engine: Callable[[int], Engine],
        reference: Reference | None = None,
        network: PixelClassifier | None = None,
    ) -> None:
        """Take what a model is; ``engine`` gives what runs it over so many images."""
        self.args, self.reference, self.network = args, reference, network
        self._engine = engine

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.args.classes

    @cached_property
    def tone(self) -> Tone:
        """What becomes black and white."""
        seen = self.args.preprocessing
        return Tone(seen.black, seen.white, seen.eight, seen.ground)

    @cached_property
    def seen(self) -> frozenset[int]:
        """What `mark_hash` makes of the images that the model was trained on or chosen by."""
        return frozenset() if self.reference is None else self.reference.seen

    def __call__(self, images: object) -> Answers:
        """Classify images: paths, patterns, arrays, PIL images, bytes of files, or several.

        Raises:
            DataError: there are none; one that cannot be read is in ``failed`` of the answer.
        """
        return join_answers(list(self.stream(list_items(images))))

    def stream(
        self,
        items: Sequence[Item],
        progress: Progress = lambda done, total: None,
        keep: bool = False,
    ) -> Iterator[Answers]:
        """Give the answers a part at a time, in order and in bounded memory.

        ``keep``: with features, which take far more of it.

        Raises:
            Interrupted: a stop was asked for.
        """
        seen, engine = self.args.preprocessing, self._engine(len(items))
        count = max(32, min(CHUNK, CHUNK_BYTES // (2 * seen.image_size**2 * seen.channels)))
        parts = [items[first : first + count] for first in range(0, len(items), count)]
        with ThreadPoolExecutor(count_cores()) as pool, warnings.catch_warnings():
            # images of too many pixels are refused with their size, and odd metadata are no news
            warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
            waiting: list[list[Future[Read]]] = []
            done = 0
            for place, part in enumerate(parts):
                for later in parts[place + len(waiting) : place + 2]:
                    waiting.append([pool.submit(self.read, item) for item in later])
                try:
                    found = self._answer(part, waiting.pop(0), engine)
                    yield found if keep else replace(found, features=None)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
                done += len(part)
                progress(done, len(items))

    def classify_rows(self, dataset: Dataset, rows: Indices) -> tuple[Numbers, Numbers]:
        """Return probabilities (k, classes) and features (k, width) of rows of a dataset."""
        size = self._size_batch()

        def read() -> Iterator[Pixels]:
            for first in range(0, len(rows), size):
                check_stop()
                yield dataset.source.read(rows[first : first + size])

        probabilities, features = self._engine(len(rows)).compute(read())
        assert features is not None, "a model in a study gives features"
        return probabilities, features

    def _size_batch(self) -> int:
        seen = self.args.preprocessing
        return max(1, min(256, BATCH_BYTES // (seen.image_size**2 * seen.channels)))

    def choose_threshold(self, error: float) -> float:
        """Return the confidence below which no answer is given, so that ``error`` is kept.

        At most that share of the answers is wrong, with 95 % certainty, on images like those of the
        study's test.

        Raises:
            SettingError: it cannot be promised from as many test images.
        """
        if not 0 < error < 1:
            raise SettingError(f"--error must be a share between 0 and 1, but got {error:g}")
        curve = self.args.surest
        if not curve:
            raise SettingError(
                "--error needs test images that chose nothing, but this model has none (its epoch "
                "was chosen on test, it was tested on too few, or has 8 bits); leave it out"
            )
        found = choose_surest(curve, error)
        if found is None:
            least = next((one for one in ERRORS if one > error and choose_surest(curve, one)), None)
            able = f"the least that can be is {least:g}" if least else "no useful error can be"
            raise SettingError(
                f"--error {error:g} cannot be promised from {self.args.tested:,} independent "
                f"test images: "
                f"{able}; more test images, or a better model, would do"
            )
        return found.threshold

    def read(self, item: Item) -> Read:
        """Return an image as the network sees it, and what is odd of it; or why it cannot be read.

        (size, size, channels) uint8; whether it is grey for a model of colour, or the reverse; and
        whether the model was trained on this file or chosen by it.
        """
        seen = self.args.preprocessing
        try:
            with item.content.open() as content:
                pixels = decode_image(content, seen.image_size, seen.channels, self.tone)
                if seen.channels == 3:
                    odd = self.args.colour and not _has_colour(pixels)
                else:
                    stored = _is_stored_in_colour(content)
                    odd = stored and _has_colour(
                        decode_image(content, seen.image_size, 3, self.tone)
                    )
                digest = hash_content(content)
                known = {mark_hash(digest), mark_hash(hash_toned(digest, self.tone))} & self.seen
            return pixels, odd, bool(known)
        except DataError as error:
            return error
        except OSError as error:
            return DataError(f"cannot be read ({error.strerror or error})")

    def _answer(
        self, items: Sequence[Item], futures: Sequence[Future[Read]], engine: Engine
    ) -> Answers:
        kept: list[Item] = []
        odd: list[bool] = []
        known: list[bool] = []
        failed: list[tuple[str, str]] = []
        size = self._size_batch()

        def batch() -> Iterator[Pixels]:
            held: list[Pixels] = []
            for item, future in zip(items, futures, strict=True):
                check_stop()
                found = future.result()
                if isinstance(found, DataError):
                    failed.append((item.name, str(found)))
                    continue
                kept.append(item)
                held.append(found[0])
                odd.append(found[1])
                known.append(found[2])
                if len(held) == size:
                    yield np.stack(held)
                    held.clear()
            if held:
                yield np.stack(held)

        batches = batch()
        first = next(batches, None)
        probabilities = np.empty((0, len(self.classes)), np.float32)
        features: Numbers | None = None
        unlike = None if self.reference is None or self.args.unlike is None else np.zeros(0, bool)
        if first is not None:
            probabilities, features = engine.compute(_chain(first, batches))
            if not np.isfinite(probabilities).all():
                raise NotFinite("a probability is not finite: the model cannot be used")
            if unlike is not None and features is not None:
                assert self.reference is not None and self.args.unlike is not None
                unlike = self.reference.measure(features) > self.args.unlike
        return Answers(
            self.classes,
            tuple(kept),
            probabilities,
            unlike,
            np.array(odd, bool),
            tuple(failed),
            sum(known),
            features,
        )


Read = tuple[Pixels, bool, bool] | DataError


def _chain(first: Pixels, others: Iterator[Pixels]) -> Iterator[Pixels]:
    yield first
    yield from others


def _has_colour(pixels: Pixels) -> bool:
    """Tell whether (height, width, 3) pixels are in colour, and not only stored so."""
    return bool(np.ptp(pixels, axis=2).max() > FAINT)


def _is_stored_in_colour(content: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.mode not in GREY_MODES
    except OSError:
        return False


def load_predictor(path: str | Path, device: DeviceName = "auto") -> Predictor:
    """Return the model of a study, of its folder ``model``, or of an exported file.

    It is read and checked as a whole; nothing that it holds is run, and nothing is fetched.

        predictor = load_predictor("runs/photos-study-1")
        answers = predictor("new/")
        print(answers.labels, answers.confidence)

    Raises:
        WorkspaceError: there is none, or it was altered.
        DeviceError: the device is not on this machine.
    """
    path = Path(path).expanduser()
    if path.is_file() and path.suffix in (".onnx", ".xml", ".bin", ".pt2"):
        from tellapart.predict.export import load_export

        if device not in ("auto", "cpu"):
            raise SettingError(f"--device must be cpu for an exported model, but got {device}")
        args, engine = load_export(path)
        return Predictor(args, lambda count: engine)
    folder = find_folder(path)
    args = read_args(folder)
    from tellapart.predict.network import load_network

    network = load_network(folder, args)
    return make_predictor(args, network, read_reference(folder, args, network.width), device)


def make_predictor(
    args: PredictorArgs,
    network: PixelClassifier,
    reference: Reference | None = None,
    device: DeviceName = "auto",
) -> Predictor:
    """Return a predictor of a network that is in memory."""
    from tellapart.device import prepare_process

    prepare_process()
    network = network.to(choose_device(device))
    seen = args.preprocessing
    sample = np.zeros((1, seen.image_size, seen.image_size, seen.channels), np.uint8)
    side = int(args.network.get("image_size", seen.image_size))
    made: dict[bool, Engine] = {}

    def choose(count: int) -> Engine:
        pixels = count * side**2
        many = pixels >= FEW_PIXELS
        if many not in made:
            made[many] = choose_engine(network, sample, pixels, device)
        return made[many]

    return Predictor(args, choose, reference, network)
