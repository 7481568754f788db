"""Who may call the gateway and the inspector."""

from __future__ import annotations

import pytest

from stream_app.errors import UserError
from stream_app.guard import Guard, token_in
from stream_app.secret import Secret

TOKEN = "x" * 32
CURE = "Set --token-file"
OPEN = Guard("127.0.0.1", Secret(), CURE)
CLOSED = Guard("0.0.0.0", Secret(TOKEN), CURE)


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"])
def test_this_machine_is_served_without_a_token(host: str) -> None:
    assert OPEN.refusal(host, "") is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "", "10.0.0.1", "[::"])
def test_another_name_for_this_machine_is_a_page_in_a_browser(host: str) -> None:
    refusal = OPEN.refusal(host, "")
    assert refusal is not None
    assert refusal[0] == 403


def test_whoever_has_the_token_is_served_under_any_name() -> None:
    assert CLOSED.refusal("shop.example", f"Bearer {TOKEN}") is None


@pytest.mark.parametrize(
    "authorization", ["", TOKEN, f"Basic {TOKEN}", "Bearer ", "Bearer é", f"Bearer {TOKEN}x"]
)
def test_nobody_else_is(authorization: str) -> None:
    refusal = CLOSED.refusal("localhost", authorization)
    assert refusal == (401, "this needs the header Authorization: Bearer TOKEN")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "shop.example"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(UserError, match=r"is not a loopback address.*--token-file"):
        Guard(host, Secret(), CURE)


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(UserError, match="has 5 characters; use at least 16") as error:
        Guard("127.0.0.1", Secret("guess"), CURE)
    assert "guess" not in str(error.value)


def test_a_browser_keeps_a_cookie_that_is_not_the_token() -> None:
    assert CLOSED.is_token(TOKEN)
    assert not CLOSED.is_token(TOKEN + "x")
    assert TOKEN not in CLOSED.cookie
    assert CLOSED.refusal("shop.example", "", CLOSED.cookie) is None
    for wrong in (TOKEN, CLOSED.cookie[:-1], "é", "\udcff"):
        assert CLOSED.refusal("localhost", "", wrong) is not None
    assert Guard("::1", Secret("y" * 32), CURE).cookie != CLOSED.cookie


def test_without_a_token_none_is_right() -> None:
    assert OPEN.cookie == ""
    assert not OPEN.is_token("")
    assert OPEN.refusal("evil.example", "", "") is not None


def test_a_token_file_holds_one(tmp_path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert token_in(file, "--token-file") == Secret(TOKEN)
    file.write_text("\n")
    with pytest.raises(UserError, match=r"--token-file .*token is empty"):
        token_in(file, "--token-file")
    with pytest.raises(UserError, match="none cannot be read"):
        token_in(tmp_path / "none", "inspector_token_file")
