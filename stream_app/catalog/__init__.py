"""Items in memory: identifiers, hashes, vectors, and what producers say of them."""

from stream_app.catalog.catalog import Catalog
from stream_app.catalog.table import ItemTable

__all__ = ["Catalog", "ItemTable"]
