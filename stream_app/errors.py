"""The base of errors that a user can act on: shown as one line, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something outside the program is not as it must be; the message says what and what to do."""

    exit_code = 2
