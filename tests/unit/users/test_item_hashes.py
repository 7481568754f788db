"""Hashes are written to rows, so they are the same for ever and everywhere."""

from stream_app.users import item_hash
from stream_app.users.ids import id_digest


def test_hashes_do_not_change_between_releases() -> None:
    assert id_digest("item-1") == bytes.fromhex("e4eb9d5aadb5a874")
    assert item_hash("item-1") == int.from_bytes(id_digest("item-1"), "little")
    assert item_hash("é") != item_hash("e")
