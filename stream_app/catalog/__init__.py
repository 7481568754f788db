"""Items in memory: identifiers, hashes and vectors."""

from stream_app.catalog.catalog import Catalog

__all__ = ["Catalog"]
