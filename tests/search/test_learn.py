from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tellapart.config import TrainSettings
from tellapart.errors import Failure, NotFinite
from tellapart.metrics.learning import Foresight, Gain, Need
from tellapart.models import SimpleSettings
from tellapart.records import RunRecord
from tellapart.search.learn import SHARES, choose_shares, run_learning, say_crossing, say_foresight
from tellapart.search.sweep import Point

from .runs import make_run

IMAGES = (250, 500, 1000, 2000, 4000)


def run_point(point: Point) -> RunRecord:
    """Accuracy follows a power law; seeds differ by a little."""
    images, seed = point
    accuracy = 0.9 - 0.1 * (images / IMAGES[-1]) ** -0.4 + 0.002 * (seed - 1)
    return make_run(SimpleSettings(), TrainSettings(seed=seed), accuracy)


def train(points: Sequence[Point]) -> list[RunRecord]:
    return [run_point(point) for point in points]


def test_every_share_runs_with_every_seed_and_the_curve_looks_ahead() -> None:
    asked: list[Point] = []

    def note(points: Sequence[Point]) -> list[RunRecord]:
        asked.extend(points)
        return train(points)

    found = run_learning(IMAGES, 3, note)
    assert asked == [(images, seed) for images in IMAGES for seed in range(3)]
    assert [point.images for point in found.points] == list(IMAGES)
    assert all(len(point.seeds) == 3 for point in found.points)
    assert found.curve is not None and found.gain is not None
    assert found.curve.power == pytest.approx(0.4, abs=0.02)
    truth = 0.1 - 0.1 * 2**-0.4
    assert found.gain.value == pytest.approx(truth, abs=1e-3)
    assert found.gain.low < truth < found.gain.high
    assert found.sentence.startswith("Twice as many images (8,000), if they are like these, should")
    assert f"from 2,000 to 4,000 images it was +{100 * (0.1 * 2**0.4 - 0.1):.1f}" in found.sentence


@pytest.mark.parametrize("failure", [NotFinite("not finite"), None])
def test_a_training_that_came_to_nothing_is_left_out(failure: Failure | None) -> None:
    def fail(points: Sequence[Point]) -> list[RunRecord | Failure | None]:
        return [failure if one[0] == 1000 or one == (4000, 0) else run_point(one) for one in points]

    found = run_learning(IMAGES, 3, fail)
    assert [point.images for point in found.points] == [250, 500, 2000, 4000]
    assert len(found.points[-1].seeds) == 2

    def fail_whole(points: Sequence[Point]) -> list[RunRecord | Failure | None]:
        return [failure if one[0] == 4000 else run_point(one) for one in points]

    with pytest.raises(NotFinite):
        run_learning(IMAGES, 2, fail_whole)


def test_one_seed_cannot_tell() -> None:
    found = run_learning(IMAGES, 1, train)
    assert found.gain is None
    assert "Cannot tell whether more data would help" in found.sentence


def test_shares_leave_images_in_every_class() -> None:
    assert choose_shares(45_000, 10) == SHARES
    assert choose_shares(60, 10) == (0.5, 1.0)
    assert choose_shares(4, 10) == ()


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (
            Foresight(Gain(0.02, 0.01, 0.03), (Need(0.7, 1500, 4200.0), Need(0.9, None, None))),
            r"bring 2.0 points \(1.0 to 3.0\), or 6 % of the mistakes; .* it was \+5.0 points. "
            "70 % takes 1,500 to 4,200 images; 90 % is out of reach.$",
        ),
        (Foresight(Gain(0.02, 0.01, 0.03), (Need(0.7, 2000, None),)), "2,000 images or many more"),
        (Foresight(Gain(0.02, 0.01, 0.03), (Need(0.7, 600, None),)), "takes 1,000 images or many"),
        (Foresight(Gain(0.5, 0.01, 0.6)), r"bring 50.0 points \(1.0 to 60.0\); from"),
        (Foresight(None), "cannot be foreseen: no usual curve fits; from 500 to 1,000"),
        (None, "takes four sizes of data"),
    ],
)
def test_each_outcome_has_its_sentence(seen: Foresight | None, said: str) -> None:
    assert re.search(said, say_foresight([500, 1000], [0.6, 0.65], seen))


@pytest.mark.parametrize(
    ("scratch", "transfer", "said"),
    [
        ((0.2, 0.4, 0.8), (0.5, 0.6, 0.7), "With fewer than about 320 images the pretrained"),
        ((0.5, 0.6, 0.7), (0.2, 0.4, 0.8), "With fewer than about 320 images the network from"),
        ((0.2, 0.4, 0.5), (0.4, 0.6, 0.7), "as well as the other with 400"),
        ((0.4, 0.6, 0.7), (0.2, 0.4, 0.5), "the network from scratch is ahead"),
        ((0.4, 0.6, 0.7), (0.5, 0.5, 0.8), "is not clear"),
    ],
)
def test_where_the_pretrained_backbone_falls_behind(
    scratch: tuple[float, ...], transfer: tuple[float, ...], said: str
) -> None:
    assert said in say_crossing([100, 200, 400], scratch, transfer)
