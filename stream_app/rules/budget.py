"""What an expression may be made of, so that no evaluation of it takes long or much memory.

The library bounds depth and iterations, but not the size of values: with `map` and `+`, two hundred
characters can ask for gigabytes. So values are not made bigger inside an iteration, iterations are
not nested, and regular expressions are few and known. What is checked is the compiled expression
(`cel.expr.CheckedExpr` of the CEL specification, in the protobuf wire format).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

MAX_PATTERNS = 4
MAX_PATTERN = 200
"""Regular expressions take linear time (RE2); four such of a text of 1,000 characters 0.1 s at the
very worst, a few microseconds as a rule."""

# Numbers of fields in cel/expr/checked.proto and cel/expr/syntax.proto.
_ANY_VALUE, _EXPR, _SOURCE = 2, 4, 5
_LINE_OFFSETS, _POSITIONS = 3, 4
_ID, _CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _COMPREHENSION = 2, 3, 4, 5, 6, 7, 8, 9
_CALL_TARGET, _CALL_FUNCTION, _CALL_ARGUMENT = 1, 2, 3
_RANGE, _INIT, _CONDITION, _STEP, _RESULT = 2, 4, 5, 6, 7
_STRING_CONST = 6
_ACCUMULATOR = b"@result"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Field = tuple[int, int | bytes]


class Refusal(Exception):  # noqa: N818 - it names what happens to the expression
    """An expression is made of something that it must not be made of; counts from 1."""

    def __init__(self, detail: str, line: int | None, column: int | None) -> None:
        super().__init__(detail)
        self.detail, self.line, self.column = detail, line, column


def check_parts(compiled: bytes, text: str, pattern_fault: Callable[[str], str | None]) -> set[str]:
    """The variables that a compiled expression asks for; raises `Refusal`.

    `pattern_fault` says what is wrong with a regular expression, if anything is.
    """
    checked = _message(_one(_message(compiled), _ANY_VALUE))
    check = _Check(text, dict(_positions(_one(checked, _SOURCE))), pattern_fault)
    check.part(_one(checked, _EXPR))
    return check.names


class _Check:
    def __init__(
        self,
        text: str,
        positions: dict[int, int],
        pattern_fault: Callable[[str], str | None],
    ) -> None:
        self._text = text
        self._positions = positions
        self._pattern_fault = pattern_fault
        self._patterns = 0
        self.names: set[str] = set()

    def part(self, encoded: bytes, inside: bool = False) -> None:
        """Look at one node and those below it; `inside` an iteration more is forbidden."""
        fields = _message(encoded)
        node = next((value for field, value in fields if field == _ID), 0)
        for kind, value in fields:
            if not isinstance(value, bytes):
                continue
            below = _message(value) if kind != _CONST else []
            if kind == _IDENT:
                self.names.add(_one(below, 1).decode())
            elif kind == _SELECT:
                self.part(_one(below, 1), inside)
            elif kind == _CALL:
                self._call(node, below, inside)
            elif kind == _LIST:
                self._list(node, below, inside)
            elif kind == _STRUCT:
                self._refuse(node, "maps and messages cannot be made in a rule")
            elif kind == _COMPREHENSION:
                self._comprehension(node, below, inside)

    def _call(self, node: int | bytes, call: list[Field], inside: bool) -> None:
        function = _one(call, _CALL_FUNCTION)
        parts = _all(call, _CALL_TARGET) + _all(call, _CALL_ARGUMENT)
        if function == b"matches":
            self._pattern(node, parts, inside)
        if function == b"_+_" and inside and not _is_accumulator(parts[0]):
            self._refuse(node, "`+` cannot be used inside exists, all and exists_one")
        for one in parts:
            self.part(one, inside)

    def _pattern(self, node: int | bytes, parts: list[bytes], inside: bool) -> None:
        self._patterns += 1
        if inside or self._patterns > MAX_PATTERNS:
            self._refuse(node, f"at most {MAX_PATTERNS} matches(), and none inside exists, all and "
                         "exists_one")  # fmt: skip
        constant = _all(_message(parts[-1]), _CONST)
        if not constant:
            self._refuse(node, "the pattern of matches() must be a text in the rule itself")
        pattern = _one(_message(constant[0]), _STRING_CONST)
        if len(pattern) > MAX_PATTERN:
            self._refuse(node, f"a pattern has at most {MAX_PATTERN} bytes")
        elif (fault := self._pattern_fault(pattern.decode(errors="replace"))) is not None:
            self._refuse(node, fault)

    def _list(self, node: int | bytes, elements: list[Field], inside: bool) -> None:
        for one in _all(elements, 1):
            kinds = {kind for kind, _ in _message(one)}
            if inside and _CONST not in kinds:
                self._refuse(node, "a list inside exists, all and exists_one holds constants only")
            self.part(one, inside)

    def _comprehension(self, node: int | bytes, parts: list[Field], inside: bool) -> None:
        if inside:
            self._refuse(node, "exists, all and exists_one cannot be nested")
        if any(kind == _LIST for kind, _ in _message(_one(parts, _INIT))):
            self._refuse(node, "map and filter cannot be used in a rule; use exists or all")
        self.part(_one(parts, _RANGE))
        for kind in (_CONDITION, _STEP, _RESULT):
            self.part(_one(parts, kind), inside=True)

    def _refuse(self, node: int | bytes, detail: str) -> NoReturn:
        offset = self._positions.get(node) if isinstance(node, int) else None
        if offset is None:
            raise Refusal(detail, None, None)
        before = self._text[:offset]
        raise Refusal(detail, 1 + before.count("\n"), 1 + offset - (1 + before.rfind("\n")))


def _is_accumulator(encoded: bytes) -> bool:
    """Whether it is the macro's own variable, which no expression can name."""
    return any(
        kind == _IDENT and isinstance(value, bytes) and _one(_message(value), 1) == _ACCUMULATOR
        for kind, value in _message(encoded)
    )


def _positions(source: bytes) -> Iterator[tuple[int, int]]:
    """Offsets in the text by node."""
    for entry in _all(_message(source), _POSITIONS):
        pair = dict(_message(entry))
        node, offset = pair.get(1, 0), pair.get(2, 0)
        if isinstance(node, int) and isinstance(offset, int):
            yield node, offset


def _message(encoded: bytes) -> list[Field]:
    return list(_fields(encoded))


def _one(fields: list[Field], number: int) -> bytes:
    return (_all(fields, number) or [b""])[-1]


def _all(fields: list[Field], number: int) -> list[bytes]:
    return [value for field, value in fields if field == number and isinstance(value, bytes)]


def _fields(encoded: bytes) -> Iterator[Field]:
    """The fields of a protobuf message (protobuf.dev/programming-guides/encoding)."""
    place = 0
    while place < len(encoded):
        key, place = _varint(encoded, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(encoded, place)
            yield number, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if length is None:
            if kind != _BYTES:
                raise ValueError(f"wire type {kind} in a compiled expression")
            length, place = _varint(encoded, place)
        yield number, encoded[place : place + length]
        place += length


def _varint(encoded: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = encoded[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
