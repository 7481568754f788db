"""What the embedded broker tells a user that it cannot do, and what to do about it."""

from __future__ import annotations

from stream_app.errors import UserError


class BrokerError(UserError):
    """The embedded Kafka cannot be fetched, started or kept running."""


def missing_extra(package: str) -> BrokerError:
    """The error for a package that only the `demo` extra brings."""
    return BrokerError(
        f"the embedded Kafka needs the package {package}; "
        "install it with `pip install 'stream-app[demo]'`"
    )
