"""Stages of convolutions, each of twice the filters of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from tellapart.config import OPTIMIZERS, Positive, Share, TrainSettings
from tellapart.errors import SettingError
from tellapart.models.network import AUGMENTS, NetworkSettings, Shape, Space
from tellapart.records import Scalar

if TYPE_CHECKING:
    import optuna
    from torch import nn


class StagesSettings(NetworkSettings):
    """Stages of 3x3 convolutions with pooling between them, a global mean, a dense layer.

    Stage ``i`` has ``convs`` convolutions of ``width * 2**i`` filters, and pools after the first;
    the last stage does not pool.
    """

    name: Literal["stages"] = "stages"
    width: Positive = Field(default=32, description="Filters of the first stage.")
    dense: Annotated[int, Field(ge=0)] = Field(
        default=128, description="Units of the dense layer; 0 for none."
    )
    stages: Annotated[int, Field(ge=1, le=5)] = Field(default=3, description="Stages.")
    convs: Annotated[int, Field(ge=1, le=3)] = Field(
        default=1, description="Convolutions of a stage."
    )
    norm: bool = Field(default=False, description="Batch normalisation.")
    dropout: Share = Field(default=0.0, description="Share dropped before the last layer.")
    recipe: ClassVar[TrainSettings] = OPTIMIZERS["adam"]
    searched: ClassVar[bool] = True

    @property
    def label(self) -> str:
        return f"stages {self._list_widths('-')}, dense {self.dense}"

    @property
    def description(self) -> str:
        convs = f"{self.convs} convolution{'s' if self.convs != 1 else ''}"
        filters = f"{self._list_widths(', ')} filters"
        parts = [f"a network of {self.stages} stages ({filters}, {convs} each)"]
        parts += ["batch normalisation"] if self.norm else []
        parts.append(f"a dense layer of {self.dense}" if self.dense else "no dense layer")
        return ", ".join(parts)

    def build(self, shape: Shape) -> nn.Module:
        """Return the network.

        Raises:
            SettingError: more poolings than the image size allows.
        """
        from torch import nn

        from tellapart.models.layers import GlobalMean, initialize, make_dense

        if shape.size >> (self.stages - 1) < 1:
            raise SettingError(
                f"stages halve the image, so {shape.size} px allow at most "
                f"{shape.size.bit_length()} of them, but got {self.stages}"
            )
        layers: list[nn.Module] = []
        before = shape.channels
        for stage in range(self.stages):
            width = self.width * 2**stage
            for position in range(self.convs):
                layers.append(nn.Conv2d(before, width, 3, padding=1, bias=not self.norm))
                if position == 0 and stage < self.stages - 1:
                    layers.append(nn.MaxPool2d(2))
                if self.norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU())
                before = width
        dense = make_dense(before, self.dense, shape.classes, self.dropout)
        return initialize(nn.Sequential(*layers, GlobalMean(), *dense))

    @classmethod
    def suggest(cls, trial: optuna.Trial, space: Space) -> tuple[Self, dict[str, Scalar]]:
        """Let Optuna choose; the reference study's own width is always among the choices."""
        model = cls(
            stages=trial.suggest_int("stages stages", min(2, space.stages), space.stages),
            convs=trial.suggest_int("stages convs", 1, 2),
            width=trial.suggest_categorical("stages width", space.list_widths(least=32)),
            norm=trial.suggest_categorical("stages norm", [False, True]),
            dense=trial.suggest_categorical("stages dense", [0, 64, 256, 1024, 2048]),
            dropout=trial.suggest_float("stages dropout", 0.0, 0.5, step=0.1),
        )
        training: dict[str, Scalar] = {
            "optimizer": trial.suggest_categorical("stages optimizer", ["adam", "muon"])
        }
        if training["optimizer"] == "adam":
            training["lr"] = trial.suggest_float("stages adam lr", 3e-4, 1e-2, log=True)
            decay = trial.suggest_float("stages adam weight_decay", 1e-5, 1e-1, log=True)
            training["weight_decay"] = decay
        else:
            training["lr"] = trial.suggest_float("stages muon lr", 0.015, 0.15, log=True)
        smoothing = trial.suggest_categorical("stages label_smoothing", [0.0, 0.1])
        augment = trial.suggest_categorical("stages augment", list(AUGMENTS))
        return model, training | {"label_smoothing": smoothing, "augment": augment}

    def _list_widths(self, between: str) -> str:
        return between.join(str(self.width * 2**stage) for stage in range(self.stages))


DEEP = StagesSettings(width=32, dense=2048, stages=3)


class DeepSettings(NetworkSettings):
    """The reference study's best network from scratch: stages of 32, 64 and 128 filters."""

    name: Literal["deep"] = "deep"
    recipe: ClassVar[TrainSettings] = OPTIMIZERS["muon"]

    @property
    def description(self) -> str:
        return "the deep network (32, 64, 128 filters, dense layer of 2048)"

    def build(self, shape: Shape) -> nn.Module:
        return DEEP.build(shape)
