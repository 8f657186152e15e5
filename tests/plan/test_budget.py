"""The budget is arithmetic on a pace: here one that is a plain function of the network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.models import NetworkSettings, Shape, count_planned
from tellapart.plan.budget import (
    FEWEST_SIZES,
    LENT,
    MOST_EPOCHS,
    SHARES,
    lend_seconds,
    plan_study,
    share_seconds,
)
from tellapart.plan.paces import Measure, Paces, gain_nothing
from tellapart.plan.rules import (
    CONV_SIZES,
    DENSE_SIZES,
    StudySettings,
    plan_epochs,
    plan_seeds,
    plan_trials,
)
from tellapart.plan.searches import AGAIN, CONFIRMING, GIVEN_TRIALS, LONGER, typical_network
from tellapart.records import STEPS, PlanRecord, StepName
from tellapart.search import confirm
from tellapart.search.space import GIVEN

CIFAR, IMAGES = Shape(3, 32, 10), 45_000
TRAINING: tuple[StepName, ...] = ("baseline", "conv", "dense", "search")


def make_plan(
    slowness: float,
    images: int = IMAGES,
    gain: Measure = gain_nothing,
    processes: int = 2,
    **asked: object,
) -> PlanRecord:
    def measure(model: NetworkSettings) -> float:
        sizes = {"dense": 128, "convs": 1} | model.model_dump()
        seconds: float = slowness * (sizes["width"] + sizes["dense"] / 8) * sizes["convs"] / 1e6
        return seconds

    return plan_study(
        StudySettings.model_validate(asked), CIFAR, images, Paces(measure, gain, processes)
    )


def test_a_fast_machine_plans_what_the_data_ask_for() -> None:
    plan = make_plan(0.1)
    assert not plan.cut
    assert plan.sweeps["conv"].sizes == CONV_SIZES
    assert plan.sweeps["dense"].sizes == DENSE_SIZES
    assert plan.sweeps["conv"].epochs == plan_epochs(StudySettings(), "conv", IMAGES)
    assert plan.search is not None
    assert plan.search.trials == plan_trials(StudySettings())
    assert plan == make_plan(0.1).model_copy(update={"seconds": plan.seconds})


@given(slowness=st.floats(0.1, 12), minutes=st.sampled_from([20.0, 60.0, 240.0]))
def test_a_plan_fits_its_minutes(slowness: float, minutes: float) -> None:
    plan = make_plan(slowness, minutes=minutes)
    smallest = any(len(sweep.sizes) == FEWEST_SIZES for sweep in plan.sweeps.values())
    assert plan.seconds <= 60 * minutes * 1.001 or smallest
    assert plan.search is not None
    assert plan.search.trial_seconds is not None
    assert plan.search.winner_seconds is not None
    assert plan.expected.keys() == set(TRAINING)
    assert sum(plan.expected.values()) == pytest.approx(plan.seconds)
    limits = plan.search.trial_seconds + plan.search.winner_seconds
    extra = sum(sweep.extra_seconds or 0.0 for sweep in plan.sweeps.values())
    others = plan.seconds - plan.search.seconds
    assert plan.cut or others + limits + extra <= max(60 * minutes, plan.seconds) * 1.001
    for sweep in plan.sweeps.values():
        assert len(sweep.sizes) >= FEWEST_SIZES
        assert sweep.epochs >= 3
        assert all("on this machine" in size.reason for size in sweep.left_out)
        together = sweep.sizes + tuple(size.size for size in sweep.left_out)
        assert together in (CONV_SIZES, DENSE_SIZES)


def test_more_minutes_never_plan_less() -> None:
    plans = [make_plan(8.0, minutes=minutes) for minutes in (10, 30, 60, 120, 1000)]
    for step in ("conv", "dense"):
        shown = [len(plan.sweeps[step].sizes) * plan.sweeps[step].epochs for plan in plans]
        assert shown == sorted(shown)
    widths = [plan.search.width for plan in plans if plan.search]
    assert widths == sorted(widths)


def test_what_the_user_named_is_kept() -> None:
    plan = make_plan(1000.0, sweep={"sizes": {"conv": (8, 4096)}, "seeds": 5}, epochs=7, trials=3)
    assert plan.cut
    conv, dense = plan.sweeps["conv"], plan.sweeps["dense"]
    assert (conv.sizes, conv.left_out) == ((8, 4096), ())
    assert (conv.epochs, conv.seeds, dense.epochs) == (7, 5, 7)
    assert plan.search is not None
    assert (plan.search.trials, plan.search.trial_epochs) == (3, 7)


def test_the_notebook_is_never_cut_nor_measured() -> None:
    plan = plan_study(StudySettings(protocol="notebook"), CIFAR, IMAGES, Paces(_refuse))
    assert (plan.minutes, plan.cut) == (None, False)
    assert plan.search is not None
    assert plan.search.trial_seconds is None
    assert plan.sweeps["conv"].epochs == 20


@pytest.mark.parametrize(("images", "minutes"), [(1_769, 15), (45_000, 30)])
def test_few_images_have_fewer_minutes(images: int, minutes: float) -> None:
    assert make_plan(1.0, images).minutes == minutes


def gain_while_small(model: NetworkSettings) -> float:
    return (
        1.6
        if model.model_dump()["width"] * model.model_dump().get("dense", 128) <= 64 * 256
        else 1.0
    )


def test_small_sizes_are_trained_several_at_once_and_take_less() -> None:
    one = make_plan(1.0, minutes=1000).sweeps
    several = make_plan(1.0, minutes=1000, gain=gain_while_small).sweeps
    assert several["conv"].apart == (16, 32, 64, 128)
    assert several["dense"].apart == (64, 128, 256)
    assert one["conv"].apart == ()
    rest = [size for size in CONV_SIZES if size > 128]
    paces = {size: size + 128 / 8 for size in CONV_SIZES}
    small = sum(pace for size, pace in paces.items() if size not in rest)
    whole = sum(paces.values())
    assert several["conv"].seconds / one["conv"].seconds == pytest.approx(
        (small / 1.6 + whole - small) / whole
    )


def test_one_bad_measurement_does_not_keep_a_sweep_from_its_processes() -> None:
    def gain(model: NetworkSettings) -> float:
        return 1.0 if model.model_dump()["width"] in (16, 64) else gain_while_small(model)

    sweep = make_plan(1.0, minutes=1000, gain=gain).sweeps["conv"]
    assert sweep.apart == (16, 32, 64, 128)
    whole = make_plan(1.0, minutes=1000, gain=gain_while_small).sweeps["conv"]
    assert sweep.seconds == pytest.approx(whole.seconds)


def test_processes_that_save_next_to_nothing_are_not_started() -> None:
    assert make_plan(0.001, gain=gain_while_small).sweeps["conv"].apart == ()
    named = make_plan(0.001, gain=gain_while_small, sweep={"processes": 2}).sweeps["conv"]
    assert named.apart == (16, 32, 64, 128)


def test_a_size_that_is_left_out_is_not_apart() -> None:
    plan = make_plan(40.0, gain=lambda model: 1.3, minutes=20)
    for sweep in plan.sweeps.values():
        assert sweep.left_out
        assert sweep.apart == sweep.sizes


def test_trials_go_several_at_once_where_that_is_faster() -> None:
    one, several = make_plan(1.0), make_plan(1.0, gain=lambda model: 1.5)
    assert one.search and several.search
    assert (one.search.at_once, several.search.at_once) == (1, 2)
    epochs = {"short": one.search.trial_epochs, "long": one.search.epochs}
    short = (one.search.trials + CONFIRMING) * epochs["short"]
    share = short / (short + epochs["long"])  # the last training has all cores to itself
    assert several.search.seconds == pytest.approx(one.search.seconds * (share / 1.5 + 1 - share))
    small = {16: 1.5, 24: 1.5}
    slow = make_plan(
        40.0, gain=lambda model: small.get(model.model_dump()["width"], 1.0), minutes=60
    )
    assert slow.search and slow.cut
    assert slow.search.at_once == 1  # what the data alone ask for would gain nothing


def test_a_search_learns_from_its_trials_however_many_cores_there_are() -> None:
    many = make_plan(1.0, gain=lambda model: 12.0, processes=16).search
    assert many and many.at_once == 2  # of 8 trials, 4 times 2: 1.5 times as fast
    little = make_plan(1.0, gain=lambda model: 6.0, processes=16).search
    assert little and little.at_once == 1  # two of 16 cores would be slower than all
    named = make_plan(1.0, gain=lambda model: 6.0, processes=6, sweep={"processes": 6}).search
    assert named and named.at_once == 6


def test_processes_that_were_named_hold_in_the_notebooks_protocol_too() -> None:
    asked = StudySettings.model_validate({"protocol": "notebook", "sweep": {"processes": 2}})
    plan = plan_study(asked, CIFAR, IMAGES, Paces(_refuse, lambda model: 1.1, 2))
    assert plan.sweeps["conv"].apart == CONV_SIZES
    assert plan.search and plan.search.at_once == 1


def test_a_step_that_is_not_asked_takes_nothing() -> None:
    plan = make_plan(8.0, steps=("inspect", "conv"))
    assert list(plan.sweeps) == ["conv"]
    assert plan.search is None
    whole = make_plan(8.0)
    assert plan.sweeps["conv"].seconds > whole.sweeps["conv"].seconds


@given(st.dictionaries(st.sampled_from(TRAINING), st.floats(0, 1e4), min_size=1), st.floats(1, 1e4))
def test_seconds_are_shared_out_and_no_more(asked: dict[StepName, float], seconds: float) -> None:
    limits = share_seconds(asked, seconds)
    assert limits.keys() == asked.keys()
    assert sum(limits.values()) <= max(seconds, sum(asked.values())) * 1.0001
    if sum(asked.values()) > seconds:
        assert sum(limits.values()) == pytest.approx(seconds)
    whole = sum(SHARES[step] for step in asked)
    for step, wanted in asked.items():
        fair = seconds * SHARES[step] / whole
        assert limits[step] >= min(wanted, fair) * 0.999


@given(
    st.fixed_dictionaries(dict.fromkeys(TRAINING, st.floats(1, 1e4))),
    st.fixed_dictionaries({"conv": st.floats(0, 1e4), "dense": st.floats(0, 1e4)}),
)
def test_a_search_lends_a_quarter_at_most(
    limits: dict[StepName, float], least: dict[StepName, float]
) -> None:
    lent = lend_seconds(limits, least)
    assert sum(lent.values()) == pytest.approx(sum(limits.values()))
    assert lent["search"] >= (1 - LENT) * limits["search"] * 0.999
    for step, need in least.items():
        assert lent[step] in (limits[step], need)
        assert lent[step] >= limits[step]


def test_a_sweep_that_lacks_little_keeps_its_sizes_at_the_cost_of_the_search() -> None:
    """Of ever fewer minutes the first ones are missed by the search, not by the largest size."""
    plans = [
        make_plan(8.0, minutes=minutes, steps=("conv", "search")) for minutes in range(60, 200)
    ]
    asked = [plan.search.seconds for plan in plans if plan.search]
    whole = [seconds for seconds, plan in zip(asked, plans, strict=True) if is_whole(plan)]
    assert 0 < len(whole) < len(plans)
    assert (1 - LENT) * asked[-1] == pytest.approx(min(whole), rel=0.02)
    assert whole == sorted(whole), "the fewer the minutes, the more it lends"


def test_a_search_that_can_be_no_shorter_lends_nothing() -> None:
    short = 0
    for minutes in range(1, 60):
        sizes = {"sizes": {"conv": (32, 64, 128)}}
        plan = make_plan(8.0, minutes=minutes, steps=("conv", "search"), sweep=sizes)
        search = plan.search
        assert search is not None and search.trial_seconds and search.winner_seconds
        limit = search.trial_seconds + search.winner_seconds
        if search.seconds > 1.01 * limit:
            share = 60 * minutes * SHARES["search"] / (SHARES["search"] + SHARES["conv"])
            assert limit >= 0.999 * share
            lacking = plan.sweeps["conv"].seconds - (60 * minutes - share)
            short += 0 < lacking < LENT * share
    assert short


def is_whole(plan: PlanRecord) -> bool:
    return not plan.sweeps["conv"].left_out


@pytest.mark.parametrize("minutes", [0.001, 1.0, 7.0, 1e5])
def test_a_training_with_minutes_ends_on_time(minutes: float) -> None:
    plan = make_plan(1.0, minutes=minutes, steps=("baseline",))
    assert plan.baseline is not None
    epoch = plan.seconds / plan.baseline
    assert plan.seconds <= 60 * minutes or plan.baseline == 1
    assert plan.seconds + epoch > 60 * minutes or plan.baseline == MOST_EPOCHS
    assert make_plan(1.0, minutes=minutes, steps=("baseline",), epochs=3).baseline == 3


def test_a_slow_baseline_is_cut_to_its_share() -> None:
    whole, slow = make_plan(0.01), make_plan(20.0)
    assert whole.baseline == plan_epochs(StudySettings(), "baseline", IMAGES)
    assert slow.baseline is not None
    assert 1 <= slow.baseline < whole.baseline
    assert make_plan(1.0, steps=("conv",)).baseline is None


def test_shares_name_the_steps_that_train() -> None:
    assert set(SHARES) == set(TRAINING) < set(STEPS)
    assert sum(SHARES.values()) == pytest.approx(1)


def test_the_budget_counts_the_trials_that_every_search_makes() -> None:
    assert len(GIVEN) == GIVEN_TRIALS
    assert CONFIRMING == confirm.CONFIRMING
    assert pytest.approx(AGAIN / (AGAIN + LONGER)) == confirm.CONFIRMED


def test_the_typical_network_fits_small_images() -> None:
    for size in (1, 2, 3, 4, 8, 96):
        assert count_planned(typical_network(64, Shape(1, size, 2)), Shape(1, size, 2)) > 0


def _refuse(model: NetworkSettings) -> float:
    raise AssertionError("nothing is measured without a budget")


def test_a_cut_sweep_leaves_time_for_seeds_where_they_decide() -> None:
    auto = make_plan(8.0, minutes=60, sweep={"seeds": "auto", "first": 3}).sweeps["conv"]
    fixed = make_plan(8.0, minutes=60, sweep={"seeds": 3}).sweeps["conv"]
    assert (auto.seeds, fixed.seeds) == (3, 3)
    assert auto.most_seeds > 3 and fixed.most_seeds == 3
    assert auto.epochs <= fixed.epochs
    assert fixed.extra_seconds == 0.0
    assert auto.extra_seconds and auto.extra_seconds > 0.1 * auto.seconds
    whole = make_plan(8.0, minutes=60, sweep={"seeds": "auto", "first": 3})
    extra = sum(sweep.extra_seconds or 0.0 for sweep in whole.sweeps.values())
    assert whole.seconds + extra <= 1.1 * 3600


def test_seeds_that_begin_with_a_number() -> None:
    settings = StudySettings.model_validate({"sweep": {"seeds": "auto", "first": 12}})
    assert plan_seeds(settings, IMAGES) == (12, 12)
    assert plan_seeds(StudySettings(), IMAGES) == (2, 10)
