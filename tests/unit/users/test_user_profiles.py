"""What is said of a user in the row: pure, replayable, and untouched by events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from user_events import event_sequences

from schemas import Profile
from stream_app.users import Outcome, SourceEvent, UserState, apply, decode_state, encode_state
from stream_app.users.profile import (
    NO_PROFILE,
    ProfileChange,
    apply_profile,
    profile_of,
    unread,
    with_reading,
)

SOURCE = "profiles/0"
ENCODER, OTHER = "ab" * 32, "cd" * 32
attributes = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=3)),
    max_size=3,
)
said = st.one_of(
    st.none(),
    st.builds(
        Profile,
        user_id=st.just("u"),
        text=st.one_of(st.none(), st.text(max_size=5)),
        attributes=attributes,
    ),
)
Change = SourceEvent | ProfileChange


def change(offset: int, profile: Profile | None) -> ProfileChange:
    return ProfileChange(profile, SOURCE, offset)


def profile(text: str = "", **attributes: object) -> Profile:
    return Profile(user_id="u", text=text, attributes=attributes)


@st.composite
def mixed(draw: st.DrawFn) -> list[Change]:
    """Events with profiles said and withdrawn among them."""
    changes: list[Change] = list(draw(event_sequences(max_size=40)))
    for offset, one in enumerate(draw(st.lists(said, max_size=8))):
        last = max((at for at, it in enumerate(changes) if isinstance(it, ProfileChange)),
                   default=-1)  # fmt: skip
        changes.insert(draw(st.integers(last + 1, len(changes))), change(2 * offset, one))
    return changes


def take(state: UserState, changes: list[Change]) -> tuple[UserState, list[Outcome]]:
    outcomes = []
    for one in changes:
        step = apply if isinstance(one, SourceEvent) else apply_profile
        state, outcome = step(state, one)  # type: ignore[operator]
        outcomes.append(outcome)
    return state, outcomes


@given(mixed(), st.lists(st.integers(0, 50)))
def test_any_split_into_batches_gives_the_same_row(changes: list[Change], cuts: list[int]) -> None:
    whole, _ = take(UserState(), changes)
    state = UserState()
    for start, end in pairwise([0, *sorted(cuts), len(changes)]):
        state, _ = take(decode_state(encode_state(state)), changes[start:end])
    assert state == whole


@given(mixed(), st.data())
def test_any_replayed_suffix_gives_the_same_row(changes: list[Change], data: st.DataObject) -> None:
    crash = data.draw(st.integers(0, len(changes)), label="rows written up to")
    committed = data.draw(st.integers(0, crash), label="offsets committed up to")
    whole, _ = take(UserState(), changes)
    before, _ = take(UserState(), changes[:crash])
    again, outcomes = take(before, changes[committed:crash])
    assert again == before
    assert set(outcomes) <= {Outcome.REPLAYED, Outcome.UNCHANGED}
    assert take(again, changes[crash:])[0] == whole


@given(mixed())
def test_the_last_that_was_said_holds_whatever_the_events(changes: list[Change]) -> None:
    state, _ = take(UserState(), changes)
    spoken = [one.profile for one in changes if isinstance(one, ProfileChange)]
    last = spoken[-1] if spoken else None
    held = profile_of(state)
    assert (held.text, held.attributes) == (
        ((last.text or ""), last.attributes) if last else ("", {})
    )
    events = [one for one in changes if isinstance(one, SourceEvent)]
    without, _ = take(UserState(), list(events))
    assert (state.history, state.events, state.vector) == (
        without.history, without.events, without.vector,
    )  # fmt: skip


def test_a_withdrawal_of_nothing_leaves_no_trace() -> None:
    state = UserState()
    assert apply_profile(state, change(7, None)) == (state, Outcome.UNCHANGED)


def test_the_same_text_is_not_read_again_and_another_is() -> None:
    state, _ = apply_profile(UserState(), change(0, profile("the sea")))
    assert unread(profile_of(state), ENCODER)
    state = with_reading(state, ENCODER, b"\0\x3c")
    assert not unread(profile_of(state), ENCODER)
    assert unread(profile_of(state), OTHER), "a release with another encoder reads it again"
    again, _ = apply_profile(state, change(1, profile("the sea", member=True)))
    assert profile_of(again).vector == b"\0\x3c"
    assert profile_of(again).attributes == {"member": True}
    other, _ = apply_profile(again, change(2, profile("the hills")))
    assert profile_of(other).vector == b""
    assert unread(profile_of(other), ENCODER)


def test_a_row_of_before_has_no_profile_and_costs_nothing() -> None:
    row = encode_state(UserState(events=3))
    assert b"p" not in row
    assert profile_of(decode_state(row)) is NO_PROFILE


@pytest.mark.parametrize("packed", [b"\x91", b"\xc1", b"\x91\xa1\xff", b"\x91\x05"])
def test_a_damaged_profile_is_a_damaged_row(packed: bytes) -> None:
    with pytest.raises(ValueError, match="user row is damaged: the profile cannot be read"):
        decode_state(encode_state(UserState(profile=packed)))
