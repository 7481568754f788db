"""Text as people send it, made fit for a tokenizer without changing what it says."""

from __future__ import annotations

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def clean(text: str, limit: int) -> str:
    """Return the first `limit` characters of `text` in NFC, without control characters.

    Control characters (category Cc, so also line ends and tabs) and runs of white space become one
    space; a lone surrogate, which has no UTF-8 form, becomes U+FFFD. Joiners and marks of direction
    (category Cf) stay: emoji and right-to-left text need them.
    """
    # Cut first: normalisation takes quadratic time on a long run of combining marks.
    text = unicodedata.normalize("NFC", text[:limit])
    kept = "".join(map(_allowed, text)) if not text.isascii() or not text.isprintable() else text
    return " ".join(kept.split())


def _allowed(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    return _REPLACEMENT if category == "Cs" else character
