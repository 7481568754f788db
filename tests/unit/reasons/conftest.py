"""Puts this directory on the import path; releases of both kinds of encoder, and rows."""

from __future__ import annotations

import pytest
from small_release import small_release
from window_release import window_release

from stream_app.bundle import Bundle


@pytest.fixture(params=["stepped", "window"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return small_release() if request.param == "stepped" else window_release()
