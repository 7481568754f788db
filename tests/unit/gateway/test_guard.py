"""Who may call the gateway."""

from __future__ import annotations

import pytest

from stream_app.errors import UserError
from stream_app.gateway import Guard
from stream_app.secret import Secret

TOKEN = "x" * 32
OPEN = Guard("127.0.0.1", Secret())
CLOSED = Guard("0.0.0.0", Secret(TOKEN))


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
        Guard(host, Secret())


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(UserError, match="has 5 characters; use at least 16") as error:
        Guard("127.0.0.1", Secret("guess"))
    assert "guess" not in str(error.value)
