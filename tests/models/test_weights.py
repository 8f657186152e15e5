"""Weights of timm's networks: all of them fit, or none are taken; strangers reach nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tellapart.errors import BackboneError
from tellapart.models import Shape, backbone
from tellapart.models.backbone import make_backbone, resize_backbone
from tellapart.models.tuned import TunedSettings
from tellapart.models.weights import build_network, hash_weights, read_network

from .weights import ARCHITECTURE, State, change_config, change_weights, save_weights


def rename(state: State) -> None:
    for name in list(state):
        state[f"m.{name}"] = state.pop(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("conv_stem.weight"), r"missing: conv_stem.weight\)"),
        (lambda state: state.pop("bn2.running_var"), r"missing: bn2.running_var\)"),
        (rename, r"missing: conv_stem.weight, .* more; left over: m\..* more"),
        (lambda state: state.update(extra=torch.ones(2)), r"left over: extra\)"),
        (lambda state: state["bn2.bias"].fill_(torch.nan), r"finite numbers.*bn2.bias"),
        (lambda state: state["bn2.running_var"].fill_(torch.inf), "bn2.running_var are not"),
        (lambda state: state["bn2.running_var"].fill_(-1.0), "finite features, but some are not"),
    ],
)
def test_weights_that_are_not_the_networks_are_refused_by_name(
    change: Callable[[State], object],
    said: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    name = save_weights(tmp_path / "w")
    change_weights(tmp_path / "w", change)
    with pytest.raises(BackboneError, match=said):
        make_backbone(name)
    assert capfd.readouterr() == ("", "")


def drop_classifier(state: State) -> None:
    del state["classifier.weight"], state["classifier.bias"]


def test_a_classifier_may_be_there_of_any_size_or_not(tmp_path: Path) -> None:
    key = make_backbone(save_weights(tmp_path / "whole")).key
    small = save_weights(tmp_path / "small")
    change_weights(
        tmp_path / "small",
        lambda state: state.update(
            {f"classifier.{n}": state[f"classifier.{n}"][:7].clone() for n in ("weight", "bias")}
        ),
    )
    without = save_weights(tmp_path / "without")
    change_weights(tmp_path / "without", drop_classifier)
    odd = [save_weights(tmp_path / "zero"), save_weights(tmp_path / "unsaid")]
    change_config(tmp_path / "zero", lambda config: config.update(num_classes=0))
    change_config(tmp_path / "unsaid", lambda config: config["pretrained_cfg"].pop("classifier"))
    assert {make_backbone(name).key for name in (small, without, *odd)} == {key}


def test_a_classifier_that_the_card_does_not_name_may_be_there(tmp_path: Path) -> None:
    """It is what the whole network has beside its layers."""
    name = save_weights(tmp_path / "w", "test_vit")
    change_config(tmp_path / "w", lambda config: config["pretrained_cfg"].update(classifier="x"))
    assert make_backbone(name).features == 64


def test_a_classifier_that_is_called_a_layer_lets_no_layer_be_absent(tmp_path: Path) -> None:
    name = save_weights(tmp_path / "w")
    key = make_backbone(name).key
    change_config(
        tmp_path / "w", lambda config: config["pretrained_cfg"].update(classifier="conv_stem")
    )
    assert make_backbone(name).key == key
    change_weights(tmp_path / "w", lambda state: state.pop("conv_stem.weight"))
    with pytest.raises(BackboneError, match=r"missing: conv_stem\.weight"):
        make_backbone(name)


def drop_counters(state: State) -> None:
    for name in [name for name in state if name.endswith("num_batches_tracked")]:
        del state[name]


def test_counters_of_norms_may_be_absent_or_left_over(tmp_path: Path) -> None:
    name = save_weights(tmp_path / "w")
    change_weights(tmp_path / "w", drop_counters)
    key = make_backbone(name).key
    change_weights(
        tmp_path / "w", lambda state: state.update({"x.num_batches_tracked": torch.tensor(3)})
    )
    assert make_backbone(name).key == key


SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"bn_eps": 0.1},
    {"act_layer": "relu"},
    {"global_pool": "max"},
    {"pad_type": "same"},
)


def test_the_key_and_the_features_change_with_model_args(tmp_path: Path) -> None:
    keys: set[str] = set()
    resized: set[str] = set()
    features = []
    pixels = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    for number, settings in enumerate(SETTINGS):
        name = save_weights(tmp_path / str(number))
        change_config(tmp_path / str(number), methodcaller("update", model_args=settings))
        found = make_backbone(name)
        keys.add(found.key)
        larger = resize_backbone(found, 64)  # at 32 px there is one place to pool over
        resized.add(larger.key)
        with torch.inference_mode():
            features.append(larger.network(pixels).numpy())
    assert len(keys) == len(resized) == len(keys | resized) / 2 == len(SETTINGS)
    assert [n for n, one in enumerate(features) if np.allclose(one, features[0])] == [0]


def test_a_network_of_one_size_is_built_again_at_it(tmp_path: Path) -> None:
    name = save_weights(tmp_path / "w", "test_vit")
    change_config(
        tmp_path / "w",
        lambda config: config["pretrained_cfg"].update(fixed_input_size=True, classifier="head"),
    )
    found = make_backbone(name)
    assert found.fixed
    network = build_network(json.loads(json.dumps(found.architecture)))  # at 32 px, not 160
    network.load_state_dict(found.network.network.state_dict())


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("mean", [0.1, 0.2], r"mean must be three numbers, but .* \[0.1, 0.2\]"),
        ("mean", [0.1, 0.2, float("nan")], "mean must be three numbers"),
        ("mean", "abc", "mean must be three numbers"),
        ("std", [0.5, 0.0, 0.5], "std must be three numbers above 0"),
        ("input_size", [3, -32, -32], "input_size must be 3 and two sizes in pixels"),
        ("input_size", [1, 32, 32], "size mismatch for conv_stem"),
        ("input_size", [3, 32.5, 32], "input_size must be 3 and two sizes"),
        ("input_size", 32, "config.json"),
        ("colour", "red", "config.json"),
    ],
)
def test_a_card_of_another_shape_is_refused(
    key: str, value: object, said: str, tmp_path: Path
) -> None:
    name = save_weights(tmp_path / "w")
    change_config(tmp_path / "w", lambda config: config["pretrained_cfg"].update({key: value}))
    with pytest.raises(BackboneError, match=said):
        make_backbone(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "hf-hub:a/b"}, "must name a network of timm"),
        ({"architecture": 5}, "must name a network of timm"),
        ({"pretrained_cfg": [1]}, "pretrained_cfg"),
        ({"model_args": [1]}, "settings of its network by name"),
        ({"model_args": {"features_only": True}}, "but has features_only"),
        ({"model_args": {"checkpoint_path": "x.pth"}}, "but has checkpoint_path"),
        ({"model_args": {"wings": 2}}, "unexpected keyword argument 'wings'"),
        ({"model_args": {"global_pool": ""}}, "a row of features"),
    ],
)
def test_a_config_of_another_shape_is_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    name = save_weights(tmp_path / "w")
    change_config(tmp_path / "w", lambda config: config.update(change))
    with pytest.raises(BackboneError, match=said):
        make_backbone(name)


def test_a_config_nested_without_end_is_refused(tmp_path: Path) -> None:
    name = save_weights(tmp_path / "w")
    (tmp_path / "w" / "config.json").write_text("[" * 100_000)
    with pytest.raises(BackboneError, match="cannot be read"):
        make_backbone(name)


def refuse_hosts(*args: object, **named: object) -> None:
    raise AssertionError(f"a host was looked up: {args}")


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "hf-hub:no-such-owner/no-such-model", "settings": {}},
        {"name": "local-dir:.", "settings": {}},
        {"name": "test_efficientnet.r160_in1k", "settings": {}},
        {"name": None, "settings": {}},
        {"name": ARCHITECTURE},
        {"name": ARCHITECTURE, "settings": {"checkpoint_path": "other.pth"}},
        {"name": ARCHITECTURE, "settings": {"pretrained": True}},
        {"name": ARCHITECTURE, "settings": {"pretrained_cfg": {"file": "other.pth"}}},
        {"name": ARCHITECTURE, "settings": {"pretrained_cfg_overlay": {"file": "other.pth"}}},
        {"name": ARCHITECTURE, "settings": {"cache_dir": "/tmp"}},
        {"name": ARCHITECTURE, "settings": {"num_classes": 3}},
        {"name": ARCHITECTURE, "settings": {"wings": 2}},
    ],
)
def test_only_settings_of_a_network_build_one(
    architecture: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", refuse_hosts)
    with pytest.raises(BackboneError, match="a backbone must"):
        build_network(architecture)
    tuned = {"backbone": "x", "image_size": 32, "features": 256, "head": {}}
    tuned |= {"mean": [0.0] * 3, "std": [1.0] * 3, "architecture": architecture}
    with pytest.raises(BackboneError, match="a backbone must"):
        TunedSettings.model_validate(tuned).build(Shape(3, 32, 2))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The hub's cache with the weights of one timm name; no host can be looked up."""
    from huggingface_hub import constants

    backbone._make_backbone.cache_clear()

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "getaddrinfo", refuse_hosts)
    folder = tmp_path / "hub" / f"models--timm--{ARCHITECTURE}.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("1a2b")
    save_weights(folder / "snapshots" / "1a2b")
    yield folder / "snapshots" / "1a2b"
    backbone._make_backbone.cache_clear()


def test_cached_weights_of_a_timm_name_are_read_without_a_request(hub: Path) -> None:
    for name in (ARCHITECTURE, f"{ARCHITECTURE}.r160_in1k"):
        for fetch in (True, False):
            found = make_backbone(name, fetch)
            assert (found.name, found.source, found.features) == (name, "timm", 256)
            state = found.network.network.state_dict()
            kept = load_file(hub / "model.safetensors")
            assert all(torch.equal(tensor, kept[key]) for key, tensor in state.items())


def test_cached_weights_of_a_timm_name_must_fit_too(hub: Path) -> None:
    change_weights(hub, lambda state: state.pop("conv_stem.weight"))
    with pytest.raises(BackboneError, match=r"missing: conv_stem\.weight"):
        make_backbone(ARCHITECTURE)


def test_what_may_not_be_fetched_is_refused_before_it_is_opened(hub: Path, tmp_path: Path) -> None:
    folder = save_weights(tmp_path / "w")
    for name in (folder, "local-dir:", "hf-hub:timm/test_vit.r160_in1k", "test_vit", "no-such"):
        with pytest.raises(BackboneError):
            read_network(name, fetch=False)


def test_a_folder_of_weights_is_told_by_both_of_its_files(tmp_path: Path) -> None:
    first, same = save_weights(tmp_path / "a" / "w"), save_weights(tmp_path / "b" / "v")
    assert hash_weights(first) == hash_weights(same)
    change_config(tmp_path / "b" / "v", lambda config: config.update(model_args={"bn_eps": 0.1}))
    assert hash_weights(first) != hash_weights(same)
    other = save_weights(tmp_path / "c")
    change_weights(tmp_path / "c", lambda state: state["bn2.bias"].add_(1))
    assert hash_weights(first) != hash_weights(other)
    (tmp_path / "c" / "config.json").unlink()
    with pytest.raises(BackboneError, match=r"config.json does not exist"):
        hash_weights(other)


def test_a_folder_without_its_scheme_is_answered_with_it(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"is a folder: did you mean local-dir:"):
        make_backbone(str(tmp_path))
