"""The dead letters of one partition number: which source offsets they answer for."""

from __future__ import annotations

from schemas import DeadLetter


class Letters:
    """Offsets by source, and what is odd about the letters themselves."""

    def __init__(self, source_names: tuple[str, ...]) -> None:
        """`source_names` are `topic/partition` by source index."""
        self._offsets: dict[str, set[int]] = {name: set() for name in source_names}
        self.records = 0
        self.repeated = 0
        """A second letter of one event: a batch was handled again after a failure."""
        self.elsewhere = 0
        """Letters of other topics or partitions."""
        self.retained_since_ms: int | None = None
        """Append time of the first letter that is still there."""

    def add(self, letter: DeadLetter) -> bool:
        """Take a letter in; False if its event is not of these sources."""
        self.records += 1
        offsets = self._offsets.get(f"{letter.topic}/{letter.partition}")
        if offsets is None:
            self.elsewhere += 1
            return False
        self.repeated += letter.offset in offsets
        offsets.add(letter.offset)
        return True

    def of(self, source_name: str) -> set[int]:
        """Offsets of a source partition that have a dead letter."""
        return self._offsets[source_name]
