"""The flags that commands share: the fields of settings, in groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from pydantic import Field, create_model

from tellapart.config import ReadSettings, RecipeSettings, Settings
from tellapart.console import show_download
from tellapart.data import NAMED, Dataset, load_images
from tellapart.models import NETWORKS, NetworkSettings, make_network_settings
from tellapart.study.settings import RunSettings, SearchSettings, SweepSettings, TransferSettings
from tellapart.workspace import expand_path

Data = Annotated[
    str,
    Parameter(
        help=f"A name ({', '.join(NAMED)}, hf:OWNER/NAME), or a folder, table, archive or file of "
        "arrays with images and their classes."
    ),
]
RunFolder = Annotated[Path, Parameter(help="The folder of a finished study, or of one step.")]


class DataFlags(ReadSettings):
    """Where the images lie, and how they are read."""

    data_dir: Path | None = Field(
        default=None, description="Where named data lie; also TELLAPART_DATA."
    )

    def load(self, data: str, memory_limit: int | None = None) -> Dataset:
        """Return the images of a name or a folder; a download is shown."""
        where = self.data_dir and expand_path(self.data_dir)
        with show_download(data) as progress:
            return load_images(
                data,
                where,
                ReadSettings(**self.model_dump(include=set(ReadSettings.model_fields))),
                progress=progress,
                memory_limit=memory_limit,
            )


class FileFlags(DataFlags):
    """Where the images lie, where the work goes, and what is printed."""

    out: Path | None = Field(
        default=None, description="Output folder [default: runs/DATA-COMMAND-N]."
    )
    plan: bool = Field(default=False, description="Say what would be done, and do nothing.")
    as_json: Annotated[bool, Parameter(name="--json")] = Field(
        default=False, description="Print the record as JSON."
    )


class NetworkFlags(Settings):
    """A network and its sizes; those that are not given are its own."""

    model: str = Field(default="simple", description=f"The network: {', '.join(NETWORKS)}.")

    def make(self) -> NetworkSettings:
        """Return the network, or say that there is none, or none with such a setting."""
        return make_network_settings(self.model, **self.model_dump(exclude={"model"}))


def _join_sizes() -> dict[str, Any]:
    """Return the sizes of all networks as optional fields; each says whose it is."""
    found: dict[str, Any] = {}
    for name, kind in NETWORKS.items():
        for field, info in kind.model_fields.items():
            if field == "name":
                continue
            said = f"{str(info.description).rstrip('.')} ({name}: {info.default})."
            if field in found:
                said = f"{found[field][1].description} {said}"
            found[field] = (info.annotation | None, Field(default=None, description=said))  # type: ignore[operator]  # a type
    return found


if TYPE_CHECKING:
    SizedFlags = NetworkFlags
else:
    SizedFlags = create_model("SizedFlags", __base__=NetworkFlags, **_join_sizes())


def _flatten(name: str) -> Parameter:
    """Return what makes flags of the fields of settings, in a group that help shows in turn."""
    return Parameter(name="*", group=Group.create_ordered(name))


Run = Annotated[RunSettings, _flatten("Run")]
Network = Annotated[SizedFlags, _flatten("Network")]
Recipe = Annotated[RecipeSettings, _flatten("Training")]
Sweep = Annotated[SweepSettings, _flatten("Sweep")]
Search = Annotated[SearchSettings, _flatten("Search")]
Transfer = Annotated[TransferSettings, _flatten("Transfer")]
DataPlace = Annotated[DataFlags, _flatten("Files")]
Files = Annotated[FileFlags, _flatten("Files and answer")]
