"""One picture that says why an image is called what it is, for white paper."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from tellapart.predict.explain import Explanation, draw_overlay, say_share
from tellapart.predict.pictures import Text, enlarge_image, open_picture

TOP = 5
"""Classes with a bar."""
WIDE, EDGE, GAP, SIDE, NEAR = 1800, 60, 30, 520, 290
"""Pixels: of the whole, its margin, between pictures, and of an image and a training image."""
HEAD, PLAIN, FINE = 44, 30, 26
INK, QUIET, BAR, WASH, WARN = "#1f2933", "#5f6b7a", "#0072b2", "#e9edf1", "#a83a00"


def draw_poster(explanation: Explanation) -> bytes:
    """Return a PNG: the image, its evidence, the likeliest classes, and what it resembles."""
    sheet = Image.new("RGB", (WIDE, WIDE), "white")
    (name, share), *_ = explanation.list_likeliest(1)
    inner = WIDE - 2 * EDGE
    y = Text(f"{name}, {say_share(share)}", HEAD, inner).draw(sheet, (EDGE, EDGE), INK)
    y = Text(explanation.name, FINE, inner).draw(sheet, (EDGE, y + 4), QUIET) + GAP
    sheet.paste(enlarge_image(explanation.pixels, SIDE), (EDGE, y))
    sheet.paste(draw_overlay(explanation, SIDE), (EDGE + SIDE + GAP, y))
    left = EDGE + 2 * (SIDE + GAP)
    _draw_bars(sheet, explanation, left, y)
    y += SIDE + 10
    Text("as the model saw it", FINE, SIDE).draw(sheet, (EDGE, y), QUIET)
    y = Text(_say_heat(explanation), FINE, SIDE, 3).draw(sheet, (EDGE + SIDE + GAP, y), QUIET)
    if explanation.neighbours:
        y = Text("Nearest training images", PLAIN, inner).draw(sheet, (EDGE, y + GAP), INK) + 10
        lowest = y
        for number, near in enumerate(explanation.neighbours):
            at = EDGE + number * (NEAR + (inner - 5 * NEAR) // 4)
            sheet.paste(open_picture(near.picture, NEAR), (at, y))
            low = Text(near.label, FINE, NEAR).draw(sheet, (at, y + NEAR + 8), INK)
            low = Text(f"distance {near.distance:.2f}", FINE, NEAR).draw(sheet, (at, low), QUIET)
            lowest = max(lowest, low)
        y = lowest
    for remark in list_remarks(explanation):
        y = Text(remark, PLAIN, inner).draw(sheet, (EDGE, y + GAP), WARN)
    stream = io.BytesIO()
    sheet.crop((0, 0, WIDE, y + EDGE)).save(stream, "PNG")
    return stream.getvalue()


def list_remarks(explanation: Explanation) -> list[str]:
    """Say what is odd about an image."""
    remarks = []
    if explanation.unlike:
        remarks.append("It is unlike the training images: do not rely on the answer.")
    if explanation.odd and explanation.pixels.shape[2] == 3:
        remarks.append("It is grey, and the model learned from colour.")
    elif explanation.odd:
        remarks.append("It is in colour, which the model does not see.")
    return remarks


def _say_heat(explanation: Explanation) -> str:
    name = explanation.heated
    if explanation.heat is None:
        return "no layer of this network keeps places: evidence cannot be mapped"
    if not explanation.heat.any():
        return f"no place speaks for {name}"
    return f"in red: what speaks for {name}"


def _draw_bars(sheet: Image.Image, explanation: Explanation, left: int, top: int) -> None:
    draw, wide, y = ImageDraw.Draw(sheet), WIDE - EDGE - left, top
    for name, share in explanation.list_likeliest(TOP):
        figure = Text(say_share(share), FINE, wide)
        at = WIDE - EDGE - round(figure.font.getlength(figure.lines[0]))
        figure.draw(sheet, (at, y), INK)
        low = Text(name, FINE, at - left - GAP).draw(sheet, (left, y), INK) + 6
        draw.rectangle((left, low, left + wide, low + 14), WASH)
        if share * wide >= 1:
            draw.rectangle((left, low, left + round(share * wide), low + 14), BAR)
        y = low + 14 + 22
