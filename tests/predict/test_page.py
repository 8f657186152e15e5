"""The page of a server in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tellapart.predict.predictor import Predictor
from tellapart.predict.serve import make_app
from tests.predict.browser import Browser, start_browser
from tests.predict.serving import TOKEN, draw, listen, make_careful

STATUS = "return document.getElementById('status').textContent"
RESULT = """
const card = document.querySelector("article");
const text = (selector) => [...card.querySelectorAll(selector)].map((one) => one.textContent);
return {
  name: text("h2")[0], said: text(".said")[0], notes: text(".note"), shares: text(".share"),
  widths: [...card.querySelectorAll(".fill")].map((one) => one.getBoundingClientRect().width),
  near: [...card.querySelectorAll(".near img")].map((one) => one.naturalWidth),
  seen: [...card.querySelectorAll(".seen img")].map((one) => one.naturalWidth),
  captions: text(".seen figcaption"),
};
"""
DROP = """
const bytes = Uint8Array.from(atob(document.querySelector(".near img").src.split(",")[1]),
  (sign) => sign.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], "dropped.jpg"));
data.items.add(new File(["none"], "<b>none</b>.png"));
document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with start_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_an_image_is_answered_on_the_page(
    browser: Browser, predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    image = tmp_path / "<img src=x onerror=document.title='run'>.png"
    image.write_bytes(next(photos.glob("7/*.png")).read_bytes())
    expected = predictor(image)
    with listen(make_app(predictor)) as port:
        browser.open(f"http://127.0.0.1:{port}/")
        browser.wait("return !document.getElementById('work').hidden")
        assert "digits" in browser.run("return document.querySelector('h1').textContent")
        score = browser.run("return document.getElementById('score').textContent")
        assert f"{100 * predictor.args.score.value:.1f}\u00a0%" in score and "n\u00a0=" in score
        assert browser.run("return document.querySelectorAll('#classes li').length") == 10

        browser.type("#files", str(image))
        said = browser.wait(STATUS, lambda text: text.startswith(image.name))
        assert said.startswith(f"{image.name}: {expected.labels[0]}, ")
        browser.wait("return document.querySelectorAll('.seen img').length", lambda n: n == 2)
        browser.wait("return [...document.images].every((one) => one.complete)")
        found = browser.run(RESULT)
        assert found["name"] == image.name and found["notes"] == []
        assert found["said"].startswith(expected.labels[0])
        assert len(found["shares"]) == 5 and found["widths"] == sorted(found["widths"])[::-1]
        assert found["near"] == [8] * 5 and found["seen"] == [8, 320]
        assert found["captions"][1].strip() == f"What speaks for {expected.labels[0]}"

        browser.run(DROP)
        browser.wait(STATUS, lambda text: text == "2 images classified.")
        names = browser.run("return [...document.querySelectorAll('h2')].map((h) => h.textContent)")
        assert names == ["dropped.jpg", "<b>none</b>.png", image.name]
        note = browser.run("return document.querySelector('article .note').textContent")
        assert "not an image" in note
        browser.run("document.getElementById('clear').click()")
        assert browser.run("return document.querySelectorAll('article').length") == 0
        assert browser.run("return document.title") == f"digits: {predictor.args.name}"
        assert browser.list_errors() == []  # nothing was blocked, nothing else was asked for


def test_it_says_what_it_does_not_know_behind_a_token(
    browser: Browser, predictor: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "odd.png").write_bytes(draw(32, colours=True))
    careful = make_careful(predictor, 1.0)
    with listen(make_app(careful, error=0.05, token=TOKEN)) as port:
        browser.open(f"http://localhost:{port}/")
        browser.wait("return !document.getElementById('door').hidden")
        browser.type("#token", "wrong")
        browser.run("document.querySelector('form').requestSubmit()")
        browser.wait("return !document.getElementById('wrong').hidden")
        browser.run("document.getElementById('token').value = ''")
        browser.type("#token", TOKEN)
        browser.run("document.querySelector('form').requestSubmit()")
        browser.wait("return !document.getElementById('work').hidden")
        assert "at most 5\u00a0%" in browser.run(
            "return document.getElementById('promise').innerText"
        )
        browser.type("#files", str(tmp_path / "odd.png"))
        browser.wait(STATUS, lambda text: text.startswith("odd.png: I don't know"))
        found = browser.run(RESULT)
        assert found["said"] == "I don't know"
        assert "It is in colour, which the model does not see." in found["notes"]
        Image.new("L", (8, 8)).save(tmp_path / "blank.tif")  # which no browser shows
        browser.type("#files", str(tmp_path / "blank.tif"))
        browser.wait("return document.querySelectorAll('.seen .blank').length", lambda n: n == 1)


def test_the_page_can_be_used_by_keyboard_and_read_aloud(
    browser: Browser, predictor: Predictor
) -> None:
    with listen(make_app(predictor)) as port:
        browser.open(f"http://127.0.0.1:{port}/")
        browser.wait("return !document.getElementById('work').hidden")
        assert browser.run("return document.documentElement.lang") == "en"
        assert browser.run("return document.getElementById('status').role") == "status"
        browser.run("document.getElementById('files').focus()")
        assert browser.run("return document.activeElement.ariaLabel") == "Choose images"
        for width in ("20rem", "90rem"):
            browser.run(f"document.body.style.width = '{width}'")
            wide = "return document.body.scrollWidth > document.body.clientWidth"
            assert not browser.run(wide)
