"""A model on a page of this machine, and as JSON: drop images, see what it makes of them.

What is uploaded stays in memory. One thread runs the model, so that the server goes on listening.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import re
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tellapart.errors import DataError, Interrupted
from tellapart.predict.answers import Answers, join_answers
from tellapart.predict.explain import draw_overlay, explain_image, list_neighbours
from tellapart.predict.guard import LIMITS, OWN_NAMES, Guard, Limits, refuse
from tellapart.predict.inputs import Item
from tellapart.predict.openapi import (
    MOST_TOP,
    Health,
    Model,
    Neighbour,
    Probability,
    Result,
    Results,
    describe_api,
)
from tellapart.predict.predictor import Predictor
from tellapart.predict.uploads import read_images
from tellapart.records.base import Record

PAGE = Path(__file__).with_suffix(".html")
POLICY = (
    "default-src 'none'; img-src data: blob:; connect-src 'self'; style-src '{}'; script-src '{}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SIDE = 320
"""Pixels of a map."""
AGAIN = {"Retry-After": "1"}
Found = TypeVar("Found")


class Service:
    """Answers the requests of a server."""

    def __init__(self, predictor: Predictor, error: float | None, limits: Limits) -> None:
        self._predictor, self._error, self._limits = predictor, error, limits
        self._threshold = None if error is None else predictor.choose_threshold(error)
        self._turns = asyncio.Semaphore(limits.at_once)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._page, self._policy = read_page()

    async def show_page(self, request: Request) -> Response:
        """Give the page, which holds nothing of the model: it asks for that."""
        return HTMLResponse(self._page, headers={"Content-Security-Policy": self._policy})

    async def show_health(self, request: Request) -> Response:
        """Say that the server is up."""
        return _say(Health())

    async def show_model(self, request: Request) -> Response:
        """Say which model this is."""
        args = self._predictor.args
        same = Model.model_fields.keys() & type(args).model_fields.keys()
        found = Model(
            **{name: getattr(args, name) for name in same},
            image_size=args.preprocessing.image_size,
            channels=args.preprocessing.channels,
            promised=self._error,
            threshold=self._threshold,
            explains=self._predictor.network is not None,
            most_bytes=self._limits.body,
            most_images=self._limits.images,
        )
        return _say(found)

    async def predict(self, request: Request) -> Response:
        """Classify the images of a request."""
        top = request.query_params.get("top", str(len(self._predictor.classes)))
        if not (re.fullmatch(r"\d{1,6}", top, re.ASCII) and 1 <= int(top) <= MOST_TOP):
            raise HTTPException(400, f"top must be a whole number from 1 to {MOST_TOP}")
        async with self._take_turn():
            images = await read_images(request, self._limits, self._limits.images)
            found = await self._run(lambda: self._classify(images, int(top)))
        return _say(Results(model=self._predictor.args.name, results=found))

    async def explain(self, request: Request) -> Response:
        """Mark in an image what mattered."""
        if self._predictor.network is None:
            raise HTTPException(501, "an exported model gives no maps")
        async with self._take_turn():
            (image,) = await read_images(request, self._limits, 1)
            try:
                content = await self._run(lambda: self._draw(image))
            except DataError as error:
                raise HTTPException(422, str(error)) from error
        if content is None:
            raise HTTPException(501, "no layer of this network has a width: it gives no maps")
        return Response(content, media_type="image/png")

    @asynccontextmanager
    async def _take_turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.wait):
                await self._turns.acquire()
        except TimeoutError:
            raise HTTPException(503, "too many requests at this time; try again", AGAIN) from None
        try:
            yield
        finally:
            self._turns.release()

    async def _run(self, work: Callable[[], Found]) -> Found:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (Interrupted, MemoryError) as error:
            why = "the memory ran out" if isinstance(error, MemoryError) else "the server is ending"
            raise HTTPException(503, why, AGAIN) from error

    def _classify(self, images: Sequence[Item], top: int) -> tuple[Result, ...]:
        numbered = [Item(str(place), image.content) for place, image in enumerate(images)]
        answers = join_answers(list(self._predictor.stream(numbered, keep=True)))
        near: Sequence[tuple[Neighbour, ...]] = [()] * len(answers)
        if answers.features is not None:
            near = [
                tuple(
                    Neighbour(
                        name=one.label,
                        distance=max(0.0, one.distance),  # rounding may leave less
                        picture=f"data:image/jpeg;base64,{base64.b64encode(one.picture).decode()}",
                    )
                    for one in own
                )
                for own in list_neighbours(
                    self._predictor.reference, answers.features, answers.classes
                )
            ]
        rows = {name: row for row, name in enumerate(answers.names)}
        failed = dict(answers.failed)
        return tuple(
            self._answer(image.name, answers, row, near[row], top)
            if (row := rows.get(str(place))) is not None
            else Result(name=image.name, error=failed[str(place)])
            for place, image in enumerate(images)
        )

    def _answer(
        self, name: str, answers: Answers, row: int, near: tuple[Neighbour, ...], top: int
    ) -> Result:
        shares = answers.probabilities[row].clip(0, 1).tolist()
        order = sorted(range(len(shares)), key=lambda place: -shares[place])
        confident = shares[order[0]] >= (self._threshold or 0.0)
        return Result(
            name=name,
            answer=answers.classes[order[0]] if confident else None,
            confident=confident,
            unlike=None if answers.unlike is None else bool(answers.unlike[row]),
            odd=bool(answers.odd[row]),
            probabilities=tuple(
                Probability(name=answers.classes[place], probability=shares[place])
                for place in order[:top]
            ),
            neighbours=near,
        )

    def _draw(self, image: Item) -> bytes | None:
        explanation = explain_image(self._predictor, image)
        if explanation.heat is None:
            return None
        stream = io.BytesIO()
        draw_overlay(explanation, SIDE).save(stream, "PNG")
        return stream.getvalue()


def make_app(
    predictor: Predictor,
    error: float | None = None,
    token: str = "",
    names: tuple[str, ...] = OWN_NAMES,
    limits: Limits = LIMITS,
) -> Guard:
    """Return the ASGI application of a model; `Guard` says what ``token`` and ``names`` are.

    Raises:
        SettingError: the model cannot promise that ``error``.
    """
    service = Service(predictor, error, limits)
    document = describe_api(limits, bool(token))

    async def show_document(request: Request) -> Response:
        return JSONResponse(document)

    async def show_failure(request: Request, failure: Exception) -> Response:
        if isinstance(failure, HTTPException):
            return refuse(failure.status_code, failure.detail, failure.headers)
        return refuse(500, "the server failed; where it was started says why")

    app = Starlette(
        routes=[
            Route("/", service.show_page),
            Route("/healthz", service.show_health),
            Route("/openapi.json", show_document),
            Route("/api/model", service.show_model),
            Route("/api/predict", service.predict, methods=["POST"]),
            Route("/api/explain", service.explain, methods=["POST"]),
        ],
        exception_handlers={HTTPException: show_failure, Exception: show_failure},
    )
    app.router.redirect_slashes = False
    return Guard(app, limits, token, names)


def read_page() -> tuple[str, str]:
    """Return the page, and the policy by which a browser runs its own style and script alone."""
    page = PAGE.read_text("utf-8")
    hashes = []
    for part in ("style", "script"):
        source = page.partition(f"<{part}>")[2].partition(f"</{part}>")[0]
        digest = hashlib.sha256(source.encode()).digest()
        hashes.append(f"sha256-{base64.b64encode(digest).decode()}")
    return page, POLICY.format(*hashes)


def _say(record: Record) -> Response:
    return Response(record.model_dump_json(by_alias=True), media_type="application/json")
