"""What a server says in JSON, and the OpenAPI document of it: both are made of these records."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pydantic.json_schema import models_json_schema

from tellapart import __version__
from tellapart.predict.guard import Limits
from tellapart.predict.uploads import RAW
from tellapart.records.base import Record
from tellapart.records.predictor import Share
from tellapart.records.runs import Estimate

MOST_TOP = 100_000
"""Classes that can be asked for."""
Class = Annotated[str, Field(serialization_alias="class")]


class Probability(Record):
    """A class, and how probable it is."""

    name: Class
    probability: Share


class Neighbour(Record):
    """A training image: its class, how far it is (0 to 2), and a small picture as a data URL."""

    name: Class
    distance: Annotated[float, Field(ge=0, le=2)]
    picture: str


class Result(Record):
    """What the model makes of one image.

    ``answer`` is null where the model does not know, or the image could not be read, which
    ``error`` then says. ``unlike``: it lies further from the training images than nearly all of
    val; null where the model knows none of these. ``odd``: it is grey where the model was trained
    on colour, or the other way round.
    ``probabilities`` and ``neighbours`` begin with the likeliest and the nearest.
    """

    name: str
    answer: str | None = None
    confident: bool = False
    unlike: bool | None = None
    odd: bool = False
    probabilities: tuple[Probability, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    error: str | None = None


class Results(Record):
    """What ``POST /api/predict`` answers: a result for each image, in the order given."""

    model: str
    results: tuple[Result, ...]


class Model(Record):
    """Which model this is.

    ``score`` is by ``metric``, on the test images of its study. Below the confidence ``threshold``
    it gives no answer, so that at most ``promised`` of its answers are wrong; null: it always does.
    ``explains``: maps can be had. ``most_bytes`` and ``most_images`` are the limits of a request.
    """

    name: str
    study: str
    step: str
    data: str
    fingerprint: str
    version: str
    license: str
    classes: tuple[str, ...]
    image_size: int
    channels: int
    metric: str
    score: Estimate
    promised: float | None
    threshold: float | None
    explains: bool
    most_bytes: int
    most_images: int


class Health(Record):
    """The server is up."""

    status: str = "ok"


class Failure(Record):
    """Why there is no answer."""

    error: str


FAILURES = {
    400: "The request cannot be read, or means another host.",
    401: "The token is missing or wrong.",
    403: "Another page asks.",
    408: "The body took too long.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "The image cannot be read.",
    429: "Too many requests of this address; Retry-After says how long to wait.",
    500: "The server failed.",
    501: "An exported model gives no maps.",
    503: "Too many requests at this time; Retry-After says how long to wait.",
}
ANY, BODY = (400, 401, 403, 429), (408, 413, 415, 500, 503)


def describe_api(limits: Limits, token: bool) -> dict[str, Any]:
    """Return the OpenAPI document of a server."""
    kinds = (Results, Model, Health, Failure)
    schemas = models_json_schema(
        [(kind, "serialization") for kind in kinds],
        ref_template="#/components/schemas/{model}",
    )[1]["$defs"]
    components: dict[str, Any] = {"schemas": schemas}
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    top = {
        "name": "top",
        "in": "query",
        "description": "How many classes to give of each image; all where it is left out.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_TOP},
    }
    overlay = _answer("The image with what mattered marked on it.", "image/png", {"type": "string"})
    paths = {
        "/api/predict": {
            "post": {
                "summary": "Classify images",
                "operationId": "predict",
                "parameters": [top],
                "requestBody": _describe_body(limits.images),
                "responses": {"200": _refer("A result for each image.", Results)}
                | _fail(*ANY, *BODY),
            }
        },
        "/api/explain": {
            "post": {
                "summary": "Show what mattered in one image",
                "operationId": "explain",
                "requestBody": _describe_body(1),
                "responses": {"200": overlay} | _fail(*ANY, *BODY, 422, 501),
            }
        },
        "/api/model": {"get": _describe_get("Which model this is", "model", Model)},
        "/healthz": {"get": _describe_get("Whether the server is up", "health", Health)},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "tellapart serve", "version": __version__},
        "paths": paths,
        "components": components,
    } | ({"security": [{"token": []}]} if token else {})


def _describe_body(most: int) -> dict[str, Any]:
    image = {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"}
    many = {"type": "array", "items": image, "minItems": 1, "maxItems": most}
    form = {"type": "object", "properties": {"images": many}, "required": ["images"]}
    types = {"multipart/form-data": form} | dict.fromkeys(RAW, image)
    return {"required": True, "content": {name: {"schema": own} for name, own in types.items()}}


def _describe_get(summary: str, name: str, kind: type[Record]) -> dict[str, Any]:
    responses = {"200": _refer(f"{summary}.", kind)} | _fail(*ANY)
    return {"summary": summary, "operationId": name, "responses": responses}


def _fail(*statuses: int) -> dict[str, Any]:
    return {str(status): _refer(FAILURES[status], Failure) for status in sorted(set(statuses))}


def _refer(said: str, kind: type[Record]) -> dict[str, Any]:
    place = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return _answer(said, "application/json", place)


def _answer(said: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": said, "content": {media: {"schema": schema}}}
