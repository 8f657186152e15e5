"""What all options are: frozen, and refused in tellapart's own words."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, ClassVar, TypeVar

from cyclopts import Parameter
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tellapart.errors import SettingError, suggest_name

SettingsT = TypeVar("SettingsT", bound="Settings")


class Settings(BaseModel):
    """Base of all options: frozen, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    flags: ClassVar[str] = "--"
    """How their names begin on the command line."""

    @classmethod
    def __pydantic_init_subclass__(cls, **values: Any) -> None:
        for name, field in cls.model_fields.items():
            if not any(isinstance(part, Parameter) for part in field.metadata):
                field.metadata.append(Parameter(name=f"{cls.flags}{name.replace('_', '-')}"))

    def __init__(self, **values: Any) -> None:
        """Check values, or raise a SettingError that says which is refused, and what would do."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _refuse(type(self), error) from error


RULES = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "finite_number": "a finite number",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
}
"""What a value must be, by the beginning of what pydantic calls the error."""


def _refuse(kind: type[Settings], error: ValidationError) -> SettingError:
    """Return what to raise for the first value that was refused."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    found = first.get("ctx", {}).get("error")
    if not isinstance(found, SettingError):
        found = SettingError(_say_refusal(kind, first, name))
        found.name = name
    if not found.flag and name in kind.model_fields:
        metadata = kind.model_fields[name].metadata
        (own,) = (part for part in metadata if isinstance(part, Parameter))
        found.flag = "" if own.parse is False else next(iter(own.name or ()), "")
    return found


def _say_refusal(kind: type[Settings], first: ErrorDetails, name: str) -> str:
    if first["type"] == "extra_forbidden":
        return f"{kind.__name__} has no setting {name!r}{suggest_name(name, kind.model_fields)}"
    said = first["msg"].removeprefix("Value error, ")
    if not name:  # of several values together, which the message names
        return said
    context, near = dict(first.get("ctx", {})), ""
    if first["type"] == "literal_error":
        context["known"] = context["expected"].replace("'", "").replace(" or ", ", ")
    if "known" in context:
        near = suggest_name(str(first["input"]), context["known"].split(", "))
        said = "must be one of {known}".format(**context)
    for beginning, rule in RULES.items():
        if re.match(rf"{beginning}(_type|_parsing|_from_float)?$", first["type"]):
            must = "must be" if len(first["loc"]) == 1 else "must each be"
            said = f"{must} {rule.format(**context)}"
    return f"{name} {said}, but got {first['input']!r}{near}"


def check_name(known: Collection[str], *more: str) -> AfterValidator:
    """Return what refuses a text that is in neither, with the nearest."""

    def check(name: str) -> str:
        if name not in known and name not in more:
            raise PydanticCustomError(
                "unknown_name", "{known}", {"known": ", ".join((*more, *known))}
            )
        return name

    return AfterValidator(check)


def make_settings(kind: type[SettingsT], **values: Any) -> SettingsT:
    """Make settings from named values, leaving out those that are None."""
    return kind(**{name: value for name, value in values.items() if value is not None})
