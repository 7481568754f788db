"""What can be wrong with a payload, or only looks as if it were: one function each."""

from __future__ import annotations

import math
import struct

import msgpack

from schemas import MAX_ID_BYTES, MAX_VALUE_BYTES, Reason
from tests.hostile.payloads import (
    DECODE,
    FUTURE_MS,
    IDS,
    LAST_MS,
    VALIDATION,
    Draft,
    Made,
    dump,
    longest,
    maker,
)

# Sizes at which a depth is certainly read or certainly refused; the limit is the interpreter's.
SHALLOW, DEEP = 100, 5_000
_BIG = b"\xa5" * 1_000_000  # the most that a broker takes as one record, about


# --- right, and strange ---


@maker(6)
def good(draft: Draft) -> Made:
    return Made(draft.dump(), None)


@maker(2)
def unknown_fields(draft: Draft) -> Made:
    odd = [None, 1.5, {"a": [1, {"b": True}]}, "text", [], {}, -(2**63)]
    more = {f"field_{at}": draft.dice.choice(odd) for at in range(draft.dice.randint(1, 5))}
    return Made(draft.dump(**more), None)


@maker()
def unknown_field_of_odd_kind(draft: Draft) -> Made:
    odd = msgpack.packb({1: {2.5: 3}, b"k": msgpack.ExtType(7, b"x"), None: b"\xff"})
    return Made(draft.with_raw(b"\xa1x" + odd, b'"x":1e999'), None)


@maker()
def huge_integer_in_an_unknown_field(draft: Draft) -> Made:
    digits = b"9" * draft.dice.choice((20, 400, 6_000))
    return Made(draft.with_raw(b"\xa1x\xcf" + b"\xff" * 8, b'"x":' + digits), None)


@maker(0.3)
def long_unknown_field(draft: Draft) -> Made:
    return Made(draft.dump(x="é" * (longest(draft.dice, 100) // 2)), None)


@maker(0.5)
def nested_but_not_too_deeply(draft: Draft) -> Made:
    depth = draft.dice.randint(2, SHALLOW)
    return Made(
        draft.with_raw(b"\xa1x" + b"\x91" * depth + b"\x01", b'"x":' + b"[" * depth + b"]" * depth),
        None,
    )


@maker()
def nulls_for_what_is_optional(draft: Draft) -> Made:
    return Made(draft.dump(event_id=None, session_id=None, rec_id=None, context=None), None)


@maker()
def ids_at_the_limit(draft: Draft) -> Made:
    longest_id = draft.dice.choice(("x" * MAX_ID_BYTES, "é" * (MAX_ID_BYTES // 2)))
    draft.user = f"{draft.dice.randrange(9)}" + longest_id[: len(longest_id) - 1]
    return Made(draft.dump(user_id=draft.user, session_id=longest_id, rec_id=longest_id), None)


@maker()
def strange_user_ids(draft: Draft) -> Made:
    draft.user = draft.dice.choice(
        ("\x00", " ", "\u202eabc", "👩‍👩‍👧", "a\nb", "\\", '"', "\ufeff", "null")
    )
    return Made(draft.dump(user_id=draft.user), None)


@maker()
def escaped_user_id(draft: Draft) -> Made:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in draft.user)
    draft.json = True
    return Made(draft.instead("user_id", b"", f'"{escaped}"'.encode()), None)


@maker()
def header_of_a_larger_map(draft: Draft) -> Made:
    count = len(draft.fields)
    header = draft.dice.choice((struct.pack(">BH", 0xDE, count), struct.pack(">BI", 0xDF, count)))
    return Made(header + dump(draft.fields, False)[1:], None)


@maker()
def longer_forms_of_integers_and_strings(draft: Draft) -> Made:
    draft.json = False
    item = str(draft.fields["item_id"]).encode()
    return Made(draft.instead("item_id", struct.pack(">BI", 0xDB, len(item)) + item, b""), None)


@maker(0.2)  # the first ones are late, which costs a replay of the user's ring
def first_and_last_times(draft: Draft) -> Made:
    return Made(draft.dump(timestamp_ms=draft.dice.choice((0, 1, draft.now_ms))), None)


@maker()
def bytes_in_header_values(draft: Draft) -> Made:
    headers = (("trace", b"\xff\xfe\x00"), ("", None), ("trace", b""))
    return Made(draft.dump(), None, headers=headers)


@maker()
def escaped_header_names(draft: Draft) -> Made:
    return Made(draft.dump(), None, headers=(("\\xff\\xfe", b"1"), ("\x00\n", None)))


# --- not a message at all ---


@maker(3)
def truncated(draft: Draft) -> Made:
    value = draft.dump()
    return Made(value[: draft.dice.randrange(len(value))], DECODE)


@maker(3)
def random_bytes(draft: Draft) -> Made:
    first = draft.dice.choice([0x00, 0x20, 0x5B, 0x7A, 0x90, 0xA1, 0xC0, 0xC1, 0xDC, 0xFF])
    return Made(bytes([first]) + draft.dice.randbytes(draft.dice.randrange(200)), DECODE)


@maker()
def random_bytes_behind_a_brace(draft: Draft) -> Made:
    return Made(b"{\xff" + draft.dice.randbytes(draft.dice.randrange(200)), DECODE)


@maker()
def empty_value(draft: Draft) -> Made:
    return Made(b"", DECODE)


@maker()
def tombstone(draft: Draft) -> Made:
    return Made(None, DECODE)


@maker()
def tombstone_without_a_key(draft: Draft) -> Made:
    return Made(None, DECODE, key=None)


@maker()
def something_behind_the_message(draft: Draft) -> Made:
    return Made(draft.dump() + draft.dice.choice((b"\x00", b"{}", b"\x80", b"x")), DECODE)


@maker()
def two_messages(draft: Draft) -> Made:
    return Made(draft.dump() * 2, DECODE)


@maker()
def something_before_the_message(draft: Draft) -> Made:
    before = draft.dice.choice((b"\xef\xbb\xbf", b" ", b"\n", b"\x00"))
    return Made(before + draft.dump(), DECODE)


@maker()
def utf16(draft: Draft) -> Made:
    return Made(dump(draft.fields, True).decode().encode("utf-16"), DECODE)


@maker()
def another_kind_of_value(draft: Draft) -> Made:
    other = draft.dice.choice(([draft.fields], "text", 17, None, True, 1.5))
    return Made(dump(other, draft.json), DECODE)


@maker()
def not_quite_json(draft: Draft) -> Made:
    text = dump(draft.fields, True)
    return Made(
        draft.dice.choice(
            (
                text.replace(b'"', b"'"), text[:-1] + b",}", text + b"/* */", b"{}" + text,
                text.replace(b":", b"=", 1), text[:-1] + b',"x":01}', text[:-1] + b',"x":0x1}',
                text[:-1] + b',"x":NaN}', text[:-1] + b',"x":-Infinity}', text[:-1] + b',x:1}',
                text[:-1] + b',"x":"\t"}', text[:-1] + b',"x":tru}',
            )
        ),
        DECODE,
    )  # fmt: skip


@maker()
def byte_that_is_never_used(draft: Draft) -> Made:
    draft.json = False
    field = draft.dice.choice(("item_id", "timestamp_ms", "x", "action", "price"))
    return Made(draft.instead(field, b"\xc1", b""), DECODE)


@maker()
def more_announced_than_there_is(draft: Draft) -> Made:
    draft.json = False
    sizes = (b"\xdb", b"\xc6", b"\xdd", b"\xdf", b"\xc9")
    return Made(draft.with_raw(b"\xa1x" + draft.dice.choice(sizes) + b"\xff" * 4, b""), DECODE)


@maker()
def map_with_more_pairs_than_there_are(draft: Draft) -> Made:
    return Made(b"\xdf" + b"\xff" * 4 + dump(draft.fields, False)[1:], DECODE)


@maker()
def nested_too_deeply(draft: Draft) -> Made:
    depth = draft.dice.randint(DEEP, DEEP * 5)
    closed = draft.dice.random() < 0.5
    packed = draft.dice.choice((b"\x91" * depth, b"\x81\xa1a" * depth)) + b"\x01" * closed
    text = draft.dice.choice((b"[", b'{"a":')) * depth
    field = draft.dice.choice(("x", "context", "item_id"))
    return Made(draft.instead(field, packed, text), DECODE)


@maker(2)
def text_that_is_not_utf8(draft: Draft) -> Made:
    wrong = draft.dice.choice((b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"))
    field = draft.dice.choice(("user_id", "item_id", "session_id", "x"))
    return Made(
        draft.instead(field, bytes([0xA0 + len(wrong)]) + wrong, b'"' + wrong + b'"'), DECODE
    )


@maker()
def field_name_that_is_not_utf8(draft: Draft) -> Made:
    return Made(draft.with_raw(b"\xa2\xff\xfe\x01", b'"\xff\xfe":1'), DECODE)


@maker()
def half_of_a_surrogate_pair(draft: Draft) -> Made:
    draft.json = True
    half = draft.dice.choice((b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\ud800"', b'"x\\udfffx"'))
    field = draft.dice.choice(("user_id", "item_id", "session_id"))
    return Made(draft.instead(field, b"", half), DECODE)


# --- a message with something wrong in it ---


@maker(2)
def missing_field(draft: Draft) -> Made:
    del draft.fields[draft.dice.choice(("user_id", "item_id", "timestamp_ms"))]
    return Made(draft.dump(), VALIDATION)


@maker()
def no_fields(draft: Draft) -> Made:
    return Made(draft.dice.choice((b"{}", b"\x80", b'{"x":1}')), VALIDATION)


@maker(3)
def wrong_type(draft: Draft) -> Made:
    wrong = {
        "user_id": (1, None, [], {}, True, 1.5), "item_id": (7, None, ["1"], {"id": 1}, False),
        "timestamp_ms": ("now", None, [], True, 1.5, {}), "context": ("x", [1], 1, {"a": [1]}),
        "session_id": (1, [], True), "event_id": (1.5, {}),
    }  # fmt: skip
    field = draft.dice.choice(list(wrong))
    return Made(draft.dump(**{field: draft.dice.choice(wrong[field])}), VALIDATION)


@maker()
def wrong_type_in_a_purchase(draft: Draft) -> Made:
    draft.topic, draft.fields["action"] = "purchases", "view"
    field = draft.dice.choice(("quantity", "price", "currency"))
    wrong = {"quantity": ("2", 1.5, None), "price": ("9", True, []), "currency": (5, "EURO", "€")}
    return Made(draft.dump(**{field: draft.dice.choice(wrong[field])}), VALIDATION)


@maker()
def number_as_text(draft: Draft) -> Made:
    return Made(draft.dump(timestamp_ms=str(draft.fields["timestamp_ms"])), VALIDATION)


@maker()
def not_a_finite_number(draft: Draft) -> Made:
    number = draft.dice.choice((math.nan, math.inf, -math.inf))
    packed, text = struct.pack(">Bd", 0xCB, number), draft.dice.choice((b"1e999", b"-1e999"))
    if draft.topic == "purchases" and draft.dice.random() < 0.5:
        return Made(draft.instead("price", packed, text), VALIDATION)
    return Made(draft.instead("context", b"\x81\xa1a" + packed, b'{"a":' + text + b"}"), VALIDATION)


@maker()
def out_of_range(draft: Draft) -> Made:
    draft.topic, draft.fields["currency"] = "purchases", "EUR"
    field, value = draft.dice.choice(
        (("quantity", 0), ("quantity", -1), ("quantity", 10**6 + 1), ("price", -0.01),
         ("price", 1e300), ("currency", "EU"), ("currency", ""), ("quantity", 2**63))
    )  # fmt: skip
    return Made(draft.dump(**{field: value}), VALIDATION)


@maker()
def action_of_a_wrong_length(draft: Draft) -> Made:
    draft.topic = "clicks"
    return Made(draft.dump(action=draft.dice.choice(("", "x" * 65, "x" * 60_000))), VALIDATION)


@maker()
def impossible_time(draft: Draft) -> Made:
    wrong = (-1, -draft.now_ms, -(2**63), LAST_MS + 1, draft.now_ms * 1000, 2**63, 2**64 - 1)
    return Made(draft.dump(timestamp_ms=draft.dice.choice(wrong)), VALIDATION)


@maker()
def huge_integer_for_a_time(draft: Draft) -> Made:
    draft.json = True
    digits = b"9" * draft.dice.choice((20, 400, 6_000))
    return Made(draft.instead("timestamp_ms", b"", digits), VALIDATION)


@maker(2)
def id_of_a_wrong_length(draft: Draft) -> Made:
    field = draft.dice.choice(IDS)
    long = longest(draft.dice, MAX_ID_BYTES + 1)
    wrong = draft.dice.choice(("", "x" * (MAX_ID_BYTES + 1), "é" * 129, "x" * long))
    if field == "user_id":
        draft.user = wrong
    return Made(draft.dump(**{field: wrong}), VALIDATION)


@maker(2)
def one_key_twice(draft: Draft) -> Made:
    packed, text = draft.dice.choice(
        (
            (b"\xa7item_id\xa11", b'"item_id":"1"'),
            (b"\xa7user_id" + dump(draft.user, False), b'"\\u0075ser_id":"x"'),
            (b"\xa1x\x82\xa1a\x01\xa1a\x01", b'"x":{"a":1,"a":1}'),
            (b"\xa1x\x91\x81\xa1b\x82\xa1a\x01\xa1a\x01", b'"x":[{"b":{"a":1,"a":2}}]'),
        )
    )
    return Made(draft.with_raw(packed, text), VALIDATION)


@maker()
def one_key_twice_in_the_context(draft: Draft) -> Made:
    value = draft.instead("context", b"\x82\xa1a\x01\xa1a\x02", b'{"a":1,"a":2}')
    return Made(value, VALIDATION)


@maker()
def key_that_is_no_text(draft: Draft) -> Made:
    draft.json = False
    odd = (1, None, b"user", 1.5, True, msgpack.ExtType(5, b"x"), msgpack.Timestamp(1))
    return Made(draft.with_raw(msgpack.packb(draft.dice.choice(odd)) + b"\x01", b""), VALIDATION)


@maker()
def extension_type(draft: Draft) -> Made:
    draft.json = False
    field = draft.dice.choice(("item_id", "timestamp_ms", "context"))
    odd = (msgpack.ExtType(5, b"x"), msgpack.Timestamp(1), b"bytes")
    return Made(draft.instead(field, msgpack.packb(draft.dice.choice(odd)), b""), VALIDATION)


@maker(2)
def another_users_key(draft: Draft) -> Made:
    key = draft.user.encode()
    wrong = (b"user-0x", key + b" ", key.upper(), key[:-1], key + b"\x00", b"\xff\xfe", b"", None)
    return Made(draft.dump(), VALIDATION, key=draft.dice.choice(wrong))


# --- a right message at a wrong time, or too much of it ---


@maker(2)
def in_the_future(draft: Draft) -> Made:
    ahead = draft.dice.choice((FUTURE_MS, 86_400_000, 10**11, LAST_MS - draft.now_ms))
    return Made(draft.dump(timestamp_ms=draft.now_ms + ahead), Reason.TIMESTAMP_IN_FUTURE)


@maker(0.1)
def a_megabyte(draft: Draft) -> Made:
    return Made(_BIG[: draft.dice.randint(MAX_VALUE_BYTES + 1, len(_BIG))], Reason.TOO_LARGE)


@maker(0.05)
def a_message_too_large(draft: Draft) -> Made:
    return Made(draft.dump(context={"x": "y" * MAX_VALUE_BYTES}), Reason.TOO_LARGE)
