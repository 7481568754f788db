"""Who may look at a worker, and what a browser may do with the answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from inspected import FakeWorker, call, serve

from stream_app.errors import UserError
from stream_app.inspector import Inspector, InspectorError

TOKEN = "a-token-that-nobody-would-guess"
EVENT = {"item_id": "item-1"}
EVENTS = "/api/users/ann/events"


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    made = serve(FakeWorker())
    yield made
    made.close()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspector]:
    """One that others reach, with a token."""
    file: Path = tmp_path_factory.mktemp("token") / "token"
    file.write_text(f"{TOKEN}\n")
    made = serve(FakeWorker(), inspector_host="0.0.0.0", inspector_token_file=str(file))
    yield made
    made.close()


@pytest.mark.parametrize(
    "path", ["/", "/api/overview", "/api/users/nobody", "/api/nowhere", "/static/none.js"]
)
def test_every_answer_tells_browsers_what_they_may(inspector, path: str) -> None:
    headers = call(inspector, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert not any(name.startswith("access-control-") for name in headers)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "10.0.0.1", "[::"])
def test_another_name_for_this_machine_is_refused(inspector, host: str) -> None:
    answer = call(inspector, "/api/overview", headers={"Host": host})
    assert answer.status == 403
    assert "is not this machine" in answer.json["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[::"},
    ],
)
def test_a_page_of_another_site_can_neither_read_nor_write(inspector, headers) -> None:
    for answer in (
        call(inspector, "/api/overview", headers=headers),
        call(inspector, EVENTS, EVENT, headers=headers),
    ):
        assert answer.status == 403
        assert answer.json["error"] == "the request comes from another site"


def test_its_own_page_can(inspector) -> None:
    own = {"Origin": inspector.address, "Sec-Fetch-Site": "same-origin"}
    assert call(inspector, "/api/overview", headers=own).status == 200
    assert call(inspector, EVENTS, EVENT, headers=own).status == 202


def test_a_link_from_elsewhere_opens_the_page(inspector) -> None:
    assert call(inspector, "/", headers={"Sec-Fetch-Site": "cross-site"}).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_form_can_send_is_refused(inspector, kind: str) -> None:
    answer = call(inspector, EVENTS, EVENT, headers={"Content-Type": kind})
    assert answer.status == 415
    assert answer.json["hint"] == "send application/json"


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd",
             "/static/x/../../server.py", "/static/..%2fserver.py", "/static/none.html",
             "/static/"],
)  # fmt: skip
def test_nothing_but_the_page_is_sent(inspector, path: str) -> None:
    assert call(inspector, path).status == 404


def test_with_a_token_nobody_looks_without(closed) -> None:
    for path in ("/", "/api/overview", "/static/app.js", f"/api/overview?token={TOKEN}"):
        answer = call(closed, path)
        assert answer.status == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "?token=" in answer.json["hint"]
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    assert call(closed, "/api/overview", headers=wrong).status == 401
    assert "not the token" in call(closed, "/?token=wrong").json["error"]


def test_a_browser_is_told_what_to_do_in_sentences(closed) -> None:
    answer = call(closed, "/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status == 401
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert b"open /?token=TOKEN once; it is in inspector_token_file." in answer.body


def test_a_program_sends_the_token(closed) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "worker-1.example:9465"}
    assert call(closed, "/api/overview", headers=headers).status == 200


def test_a_browser_sends_it_once_and_keeps_a_cookie(closed) -> None:
    entered = call(closed, f"/?token={TOKEN}")
    assert (entered.status, entered.headers["location"]) == (303, "/")
    cookie, *marks = [part.strip() for part in entered.headers["set-cookie"].split(";")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(marks)
    assert TOKEN not in cookie
    assert call(closed, "/", headers={"Cookie": cookie}).status == 200
    forged = {"Cookie": f"{cookie[:-1]}{'0' if cookie[-1] != '0' else '1'}"}
    assert call(closed, "/", headers=forged).status == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(UserError, match=r"is not a loopback address.*inspector_token_file"):
        serve(FakeWorker(), inspector_host=host)


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"inspector_token_file .*none cannot be read"):
        serve(FakeWorker(), inspector_token_file=str(tmp_path / "none"))


def test_a_port_that_is_taken_is_named(inspector) -> None:
    port = int(inspector.address.rpartition(":")[2])
    with pytest.raises(InspectorError, match=f"inspector port {port} on 127.0.0.1 cannot be"):
        serve(FakeWorker(), inspector_port=port)
