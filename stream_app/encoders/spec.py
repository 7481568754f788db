"""What a bundle says about its encoder, and the error when an encoder does not keep to it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from stream_app.errors import UserError

Size = Annotated[int, msgspec.Meta(ge=1, le=65_536)]


class EncoderError(UserError):
    """An encoder cannot be loaded or run; the message says what is wrong and what to do."""


class EncoderSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Kind and sizes of an encoder, as written in the manifest of its bundle."""

    kind: Literal["recurrent"]
    """`recurrent`: a step graph `step.onnx` with a state per user."""
    dim: Size
    """`d`, the size of item and user vectors."""
    state_size: Size
    """`S`, the size of a user's recurrent state."""
    features: Size
    """`f`, the number of features of an event."""
