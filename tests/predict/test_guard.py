from __future__ import annotations

from tellapart.predict.guard import Limits, Rates
from tellapart.predict.predictor import Predictor
from tellapart.predict.serve import make_app
from tests.predict.serving import TOKEN, ask, draw


def test_only_this_machine_is_meant(predictor: Predictor) -> None:
    app = make_app(predictor)
    for host in ("localhost:99", "127.0.0.1", "[::1]:8765", "LOCALHOST"):
        assert ask(app).get("/healthz", headers={"host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "evil@localhost", "", "localhost:x"):
        assert ask(app).get("/", headers={"host": host}).status_code == 400
    for origin in ("http://evil.example", "null", "http://localhost:1"):
        answer = ask(app).post("/api/predict", content=b"", headers={"origin": origin})
        assert answer.status_code == 403
    own = {"origin": "http://localhost", "content-type": "image/png"}
    assert ask(app).post("/api/predict", content=draw(), headers=own).status_code == 200


def test_a_token_opens_all_but_the_page(predictor: Predictor) -> None:
    client = ask(make_app(predictor, token=TOKEN, names=()), "10.0.0.9", "anything.example")
    assert client.get("/").status_code == 200
    for path in ("/healthz", "/openapi.json", "/api/model", "/other"):
        for said in ({}, {"authorization": TOKEN}, {"authorization": f"Bearer {TOKEN}x"}):
            answer = client.get(path, headers=said)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    good = {"authorization": f"bearer {TOKEN}"}
    assert client.get("/healthz", headers=good).status_code == 200
    document = client.get("/openapi.json", headers=good).json()
    assert document["security"] == [{"token": []}]


def test_an_address_has_a_rate_and_this_machine_none(predictor: Predictor) -> None:
    app = make_app(predictor, token=TOKEN, names=(), limits=Limits(rate=0.5, burst=3))
    statuses = [ask(app, "10.0.0.9").get("/").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = ask(app, "10.0.0.9").get("/")
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert ask(app, "10.0.0.8").get("/").status_code == 200
    assert {ask(app).get("/").status_code for _ in range(9)} == {200}


def test_rates_come_back_with_time() -> None:
    now = [0.0]
    rates = Rates(Limits(rate=2, burst=2), lambda: now[0])
    assert [rates.count("a") for _ in range(3)] == [0, 0, 0.5]
    now[0] = 1.0
    assert rates.count("a") == 0
