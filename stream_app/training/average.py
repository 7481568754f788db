"""A running average of the weights, which generalises better than the weights of any one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class WeightAverage:
    """Exponential moving average of parameters (Polyak averaging), for a `with` around training.

    Inside the `with` the parameters are those in training, outside they are their average: what
    is evaluated, exported and copied is the average. `decay` 0 averages nothing.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self._parameters = list(parameters)
        self._decay = decay
        self._steps = 0
        self._average = _copies(self._parameters)
        self._training = _copies(self._parameters)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after a step; the first steps count for more than `decay` says.

        Else the average would long be that of the random weights at the start.
        """
        if not self._decay:
            return
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._average, self._parameters, 1 - decay)
        self._steps += 1

    def __enter__(self) -> None:
        if self._decay:
            _assign(self._parameters, self._training)

    def __exit__(self, *_: object) -> None:
        if self._decay:
            _assign(self._training, self._parameters)
            _assign(self._parameters, self._average)

    def progress(self) -> dict[str, Any]:
        """What `set_progress` needs to go on; the average itself is in the parameters."""
        return {"steps": self._steps, "training": _copies(self._training) if self._decay else []}

    def set_progress(self, progress: dict[str, Any]) -> None:
        """Go on from `progress`, with the average that the parameters hold."""
        self._steps = progress["steps"]
        if self._decay:
            _assign(self._training, progress["training"])
            _assign(self._average, self._parameters)


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


@torch.no_grad()
def _assign(to: Sequence[Tensor], of: Sequence[Tensor]) -> None:
    torch._foreach_copy_(to, of)
