"""What a bundle says about its encoder, and the error when an encoder does not keep to it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from stream_app.errors import UserError
from stream_app.users.state import HISTORY_LENGTH

Size = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
Kind = Literal["recurrent", "gru", "transformer"]

STEP_FILE = "step.onnx"
ENCODE_FILE = "encode.onnx"


class EncoderError(UserError):
    """An encoder cannot be loaded or run; the message says what is wrong and what to do."""


class EncoderSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Kind and sizes of an encoder, as written in the manifest of its bundle."""

    kind: Kind
    """`recurrent`, `gru`: a step graph `step.onnx` with a state per user; `transformer`: a graph
    `encode.onnx` over a user's last events, without a state."""
    dim: Size
    """`d`, the size of item and user vectors."""
    state_size: Annotated[int, msgspec.Meta(ge=0, le=65_536)]
    """`S`, the size of a user's recurrent state; 0 without one."""
    features: Size
    """`f`, the number of features of an event."""
    window: Annotated[int, msgspec.Meta(ge=0, le=HISTORY_LENGTH)] = 0
    """How many of a user's last events an encoder without a state reads; 0 with one."""

    def __post_init__(self) -> None:
        if self.kind == "transformer":
            fits, needed = not self.state_size and self.window, "a window and no state_size"
        else:
            fits, needed = self.state_size and not self.window, "a state_size and no window"
        if not fits:
            raise ValueError(
                f"a {self.kind} encoder has {needed}, but state_size is {self.state_size} and "
                f"window is {self.window}"
            )

    @property
    def graph_file(self) -> str:
        """Name of the graph in the bundle."""
        return ENCODE_FILE if self.window else STEP_FILE
