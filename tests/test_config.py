from __future__ import annotations

import hashlib
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tellapart.config import (
    NOTEBOOK,
    OPERATIONS,
    PRESETS,
    HeadSettings,
    RecipeSettings,
    Settings,
    SplitSettings,
    TrainSettings,
    hash_settings,
    list_operations,
    make_settings,
    spell_augment,
)
from tellapart.errors import SettingError
from tellapart.models import SimpleSettings
from tellapart.study.settings import StudySettings

KINDS: list[type[Settings]] = [SplitSettings, SimpleSettings, TrainSettings, HeadSettings]


@pytest.mark.parametrize("kind", [*KINDS, StudySettings])
def test_options_are_few_frozen_and_have_defaults(kind: type[Settings]) -> None:
    settings = kind()
    assert len(kind.model_fields) <= 14
    field = next(iter(kind.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, field, getattr(settings, field))
    assert kind.model_validate_json(settings.model_dump_json()) == settings


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="no setting 'epoch'; did you mean 'epochs'"):
        make_settings(TrainSettings, epoch=3)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (TrainSettings, {"epochs": 0}, "^epochs must be at least 1, but got 0$"),
        (TrainSettings, {"lr": 0.0}, "^lr must be above 0, but got 0.0$"),
        (TrainSettings, {"label_smoothing": 1.0}, "^label_smoothing must be below 1, but got 1.0$"),
        (TrainSettings, {"augment": "shift+rotate"}, "got 'rotate'; did you mean 'rotation'"),
        (TrainSettings, {"augment": "Standard"}, "got 'Standard'; did you mean 'standard'"),
        (TrainSettings, {"augment": "shift+"}, "augment must be .* none, light, .* got ''"),
        (TrainSettings, {"augment": "flip-shift"}, "joined by [+], but got 'flip-shift'"),
        (RecipeSettings, {"augment": "mixin"}, "got 'mixin'; did you mean 'mixup'"),
        (
            TrainSettings,
            {"optimizer": "lion"},
            "optimizer must be one of adam, sgd, muon, but got 'lion'$",
        ),
        (SplitSettings, {"val_share": 0.5}, "val_share must be below 0.5, but got 0.5"),
        (HeadSettings, {"dense": -1}, "dense must be at least 0, but got -1"),
    ],
)
def test_a_value_outside_its_rule_is_refused(
    kind: type[Settings], values: dict[str, Any], said: str
) -> None:
    for make in (partial(make_settings, kind), kind):
        with pytest.raises(SettingError, match=said):
            make(**values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"step": ("conv",)}, "StudySettings has no setting 'step'; did you mean 'steps'"),
        ({"model": {"widht": 8}}, "model simple has no setting 'widht'; it has width, dense"),
        ({"sweep": {"seeds": 0}}, "seeds.*, but got 0"),
    ],
)
def test_settings_made_in_python_are_refused_in_the_same_words(
    values: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        StudySettings(**values)


def test_a_muon_with_weight_decay_is_refused_when_it_is_made() -> None:
    with pytest.raises(SettingError, match=r"^optimizer muon has no weight_decay; leave it at 0$"):
        TrainSettings(optimizer="muon", weight_decay=0.1)


def test_none_leaves_the_default() -> None:
    assert make_settings(TrainSettings, epochs=None, lr=0.5) == TrainSettings(lr=0.5)


def test_the_reference_recipe() -> None:
    assert (NOTEBOOK.optimizer, NOTEBOOK.lr, NOTEBOOK.batch_size) == ("adam", 1e-3, 64)
    assert (NOTEBOOK.schedule, NOTEBOOK.augment, NOTEBOOK.weight_decay) == ("constant", "none", 0)


def test_no_preset_flips_and_each_holds_the_one_before() -> None:
    assert list(PRESETS) == ["none", "light", "standard", "strong"]
    assert "flip" in OPERATIONS
    before: set[str] = set()
    for preset in PRESETS:
        named: set[str] = set(list_operations(preset))
        assert "flip" not in named
        assert named > before or preset == "none"
        before = named


@given(st.lists(st.sampled_from([*PRESETS, *OPERATIONS]), min_size=1), st.randoms())
def test_an_augmentation_has_one_spelling(names: list[str], random: Random) -> None:
    spelled = TrainSettings(augment="+".join(names)).augment
    assert list(list_operations(spelled)) == [
        name for name in OPERATIONS if any(name in list_operations(one) for one in names)
    ]
    random.shuffle(names)
    assert TrainSettings(augment="+".join(names)).augment == spelled
    assert spell_augment(spelled) == spelled
    assert spelled == "none" or set(spelled.split("+")) <= set(OPERATIONS)


def test_a_hash_is_that_of_sorted_json() -> None:
    expected = hashlib.sha256(b'[{"a":1,"b":[2,3]},"x"]').hexdigest()[:10]
    assert hash_settings({"b": [2, 3], "a": 1}, "x") == expected
    assert hash_settings({"a": 1, "b": [2, 3]}, "x") == expected


def test_a_hash_tells_every_setting() -> None:
    changed = [
        TrainSettings(),
        TrainSettings(epochs=11),
        TrainSettings(seed=1),
        TrainSettings(lr=2e-3),
        TrainSettings(augment="shift"),
        TrainSettings(averaging=0.1),
        TrainSettings(patience=3),
        TrainSettings(class_weights="balanced"),
    ]
    assert len({hash_settings(SimpleSettings(), recipe) for recipe in changed}) == len(changed)
    assert hash_settings(SimpleSettings(), TrainSettings()) != hash_settings(
        SimpleSettings(dense=64), TrainSettings()
    )
