"""Checks a running or settled installation against its own topics: nothing lost, nothing twice.

`verify` reads; it joins no group, commits nothing and writes nothing.
"""

from stream_app.verify.check import verify
from stream_app.verify.report import Finding, Kind, Report
from stream_app.verify.scope import Scope

__all__ = ["Finding", "Kind", "Report", "Scope", "verify"]
