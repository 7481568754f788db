"""What became of lists: clicks and purchases joined to the lists that they answer."""

from stream_app.attribution.read import Window, attribute
from stream_app.attribution.report import Report, Row

__all__ = ["Report", "Row", "Window", "attribute"]
