from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tellapart.errors import NotFinite, SettingError
from tellapart.predict.guard import Limits
from tellapart.predict.predictor import Predictor
from tellapart.predict.serve import make_app
from tests.predict.serving import HOSTILE, TOKEN, Waiting, ask, draw, listen, make_careful, post

ROOT = Path(__file__).resolve().parents[2]
written: list[str] | None = None
"""Files that were opened for writing, while somebody looks."""


def watch(event: str, args: tuple[Any, ...]) -> None:
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    if event == "open" and written is not None and (args[2] or 0) & writing:
        written.append(str(args[0]))


sys.addaudithook(watch)


def test_images_are_answered_as_the_predictor_does(predictor: Predictor, photos: Path) -> None:
    paths = sorted(photos.glob("*/*.png"))
    files = [("images", (path.name, path.read_bytes(), "image/png")) for path in paths]
    answer = ask(make_app(predictor)).post("/api/predict", files=files)
    expected = predictor(paths)
    assert answer.status_code == 200
    assert answer.json()["model"] == predictor.args.name
    results = answer.json()["results"]
    assert [one["name"] for one in results] == [path.name for path in paths]
    for row, one in enumerate(results):
        assert one["answer"] == expected.labels[row] and one["confident"] and one["error"] is None
        assert one["unlike"] is not None and not one["odd"]
        shares = {each["class"]: each["probability"] for each in one["probabilities"]}
        assert [shares[name] for name in predictor.classes] == pytest.approx(
            expected.probabilities[row].tolist(), abs=1e-6
        )
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        near = one["neighbours"]
        assert len(near) == 5 and near == sorted(near, key=lambda each: each["distance"])
        assert near[0]["class"] in predictor.classes
        assert near[0]["picture"].startswith("data:image/jpeg;base64,/9j/")


def test_one_image_may_be_the_body(predictor: Predictor) -> None:
    client = ask(make_app(predictor))
    for kind in ("image/png", "application/octet-stream", "image/anything; charset=x"):
        answer = client.post("/api/predict?top=2", content=draw(), headers={"content-type": kind})
        (result,) = answer.json()["results"]
        assert result["name"] == "image" and len(result["probabilities"]) == 2


def test_it_does_not_know_below_the_threshold(predictor: Predictor) -> None:
    client = ask(make_app(make_careful(predictor, 1.0), error=0.05))
    (result,) = client.post("/api/predict", files={"images": draw()}).json()["results"]
    assert result["answer"] is None and not result["confident"] and result["probabilities"]
    model = client.get("/api/model").json()
    assert model["threshold"] == 1.0 and model["promised"] == 0.05
    with pytest.raises(SettingError, match="cannot be promised"):
        make_app(predictor, error=1e-6)


def test_bad_images_are_errors_of_their_own(predictor: Predictor) -> None:
    whole = draw(64)
    huge = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(huge, "PNG")
    files = [
        ("images", (name, content))
        for name, content in [
            ("same.png", b"no image"),
            ("same.png", whole),
            ("cut.png", whole[: len(whole) // 2]),
            ("empty.png", b""),
            ("huge.png", huge.getvalue()),
            ("colour.png", draw(16, colours=True)),
        ]
    ]
    results = ask(make_app(predictor)).post("/api/predict", files=files).json()["results"]
    assert [one["error"] is not None for one in results] == [True, False, True, True, True, False]
    assert "at most 80,000,000" in results[4]["error"]
    assert results[0]["answer"] is None and results[0]["probabilities"] == []
    assert results[5]["odd"] and not results[1]["odd"]


def test_the_map_is_a_picture(predictor: Predictor) -> None:
    client = ask(make_app(predictor))
    answer = client.post("/api/explain", files={"images": ("a.png", draw())})
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (320, 320) and np.ptp(np.asarray(image)) > 0
    assert client.post("/api/explain", files={"images": ("a", b"none")}).status_code == 422
    two = [("images", ("a", draw())), ("images", ("b", draw()))]
    assert client.post("/api/explain", files=two).status_code == 400
    exported = Predictor(predictor.args, predictor._engine)
    assert ask(make_app(exported)).post("/api/explain", content=b"").status_code == 501
    raw = {"content-type": "image/png"}
    answer = ask(make_app(exported)).post("/api/predict", content=draw(), headers=raw)
    assert answer.json()["results"][0]["neighbours"] == []


def test_names_are_text(predictor: Predictor) -> None:
    client = ask(make_app(predictor))
    answer = client.post("/api/predict", files={"images": (HOSTILE, draw())})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<img src=x" in answer.json()["results"][0]["name"]
    long = client.post("/api/predict", files={"images": ("é" * 500, draw())})
    assert len(long.json()["results"][0]["name"]) == 255


def test_the_page_runs_its_own_script_alone_and_holds_nothing_of_the_model(
    predictor: Predictor,
) -> None:
    answer = ask(make_app(predictor)).get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and policy.count("'sha256-") == 2
    assert "unsafe" not in policy and "http" not in policy
    assert "access-control-allow-origin" not in answer.headers
    assert "http://" not in answer.text and "https://" not in answer.text
    assert "innerHTML" not in answer.text and "{{" not in answer.text


def test_the_model_is_said(predictor: Predictor) -> None:
    client, args = ask(make_app(predictor)), predictor.args
    model = client.get("/api/model").json()
    assert model["classes"] == list(args.classes) and model["fingerprint"] == args.fingerprint
    assert model["score"] == args.score.model_dump() and model["threshold"] is None
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/openapi.json").json()["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    ("status", "path", "options"),
    [
        (404, "/nothing", {}),
        (405, "/", {}),
        (415, "/api/predict", {"content": b"{}", "headers": {"content-type": "text/plain"}}),
        (415, "/api/predict", {}),
        (400, "/api/predict", {"files": {"others": b"x"}}),
        (400, "/api/predict", {"files": [("images", ("a", b"x"))] * 33}),
        (400, "/api/predict?top=0", {"files": {"images": b"x"}}),
        (400, "/api/predict?top=²", {"files": {"images": b"x"}}),
        (413, "/api/predict", {"files": {"images": b"x" * 20_000_001}}),
        (
            413,
            "/api/predict",
            {"content": b"x" * 90_000_000, "headers": {"content-type": "image/x"}},
        ),
        (
            400,
            "/api/predict",
            {"content": b"--", "headers": {"content-type": "multipart/form-data"}},
        ),
    ],
)
def test_bad_requests_are_refused(
    predictor: Predictor, status: int, path: str, options: dict[str, Any]
) -> None:
    answer = ask(make_app(predictor)).post(path, **options)
    assert answer.status_code == status and list(answer.json()) == ["error"]


def test_more_than_can_be_worked_on_wait_and_are_sent_away(predictor: Predictor) -> None:
    engine = Waiting(len(predictor.classes))
    slow = Predictor(predictor.args, lambda count: engine)
    with (
        listen(make_app(slow, limits=Limits(at_once=1, wait=0.2))) as port,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(post, port, "/api/predict", draw())
        assert engine.asked.wait(30)
        status, said = post(port, "/api/predict", draw())
        assert status == 503 and "try again" in said["error"]
        engine.may.set()
        status, said = first.result()
        assert status == 200 and said["results"][0]["answer"] == predictor.classes[0]


def test_a_body_that_does_not_come_is_not_waited_for(predictor: Predictor) -> None:
    head = b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    with (
        listen(make_app(predictor, limits=Limits(at_once=1, upload=0.2))) as port,
        socket.create_connection(("127.0.0.1", port), 30) as one,
        socket.create_connection(("127.0.0.1", port), 30) as other,
    ):
        one.sendall(head + b"Content-Length: 99\r\n\r\nfew")
        assert b" 408 " in one.recv(100)
        other.sendall(head + b"Content-Length: 99\r\n\r\nfew")
        other.close()
        assert post(port, "/api/predict", draw())[0] == 200


def test_a_failure_is_said_without_its_inside(
    predictor: Predictor, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def compute(self, batches: object) -> Any:
            raise NotFinite("secret")

    app = make_app(Predictor(predictor.args, lambda count: Broken()))
    answer = ask(app).post("/api/predict", files={"images": draw()})
    assert answer.status_code == 500 and "secret" not in answer.text


def test_nothing_is_written(predictor: Predictor, tmp_path: Path) -> None:
    global written
    large = draw(1500, colours=True)
    assert len(large) > 5_000_000
    client = ask(make_app(predictor))
    written = []
    try:
        for path in ("/api/predict", "/api/explain"):
            assert client.post(path, files={"images": ("a.png", large)}).status_code == 200
        assert written == []
        (tmp_path / "seen").touch()
        assert len(written) == 1
    finally:
        written = None


@pytest.mark.slow
def test_the_document_is_true(predictor: Predictor, tmp_path: Path) -> None:
    # an image that cannot be read is refused, whatever a schema may say of its bytes
    kept = '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", "422"]\n'
    (tmp_path / "schemathesis.toml").write_text(kept)
    with listen(make_app(predictor, token=TOKEN)) as port:
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "schemathesis", "run"),
                f"http://127.0.0.1:{port}/openapi.json",
                *("--checks", "all", "--max-examples", "50", "--continue-on-failure"),
                *("--header", f"Authorization: Bearer {TOKEN}"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_sixteen_clients_are_served(handed: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/serve.py", handed, "--seconds", "10"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and "0 errors" in done.stdout, done.stdout + done.stderr
