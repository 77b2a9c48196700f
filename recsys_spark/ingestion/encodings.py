"""Decoding of raw bytes to text, with the bytes that are invalid in the encoding."""

import codecs
from typing import NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F

__all__ = ["BYTES", "UTF8_OR_LATIN", "DecodedText", "bytes_as_text", "decode"]

# Each byte is one character of this encoding, so that text of any encoding passes through it unchanged.
BYTES = "ISO-8859-1"
# Encoding of values that are valid UTF-8 or else ISO-8859-1; a letter of the latter between others is invalid UTF-8.
UTF8_OR_LATIN = "UTF-8 or ISO-8859-1"
# Spark decodes windows-1252 only under a setting for the whole session. It differs from ISO-8859-1 in these 32 bytes,
# five of which stand for no character.
HIGH_BYTES = range(0x80, 0xA0)
WINDOWS_1252 = {
    chr(byte): bytes([byte]).decode("windows-1252")
    for byte in HIGH_BYTES
    if bytes([byte]).decode("windows-1252", "ignore")
}
NOT_WINDOWS_1252 = "".join(chr(byte) for byte in HIGH_BYTES if chr(byte) not in WINDOWS_1252)


class DecodedText(NamedTuple):
    """Text of a raw value, and a BOOLEAN for invalid bytes."""

    text: Column
    is_invalid: Column


def decode(raw: Column, encoding: str) -> DecodedText:
    """Decode BINARY, or STRING with undecoded bytes, of an encoding that extends ASCII.

    Invalid bytes of UTF-8 become U+FFFD. The same character in valid text is not an error.
    """
    if encoding == "UTF-8":
        text = raw.cast("string")
        return DecodedText(F.make_valid_utf8(text), ~F.is_valid_utf8(text))
    characters = F.decode(raw.cast("binary"), BYTES)
    if encoding == UTF8_OR_LATIN:
        text = raw.cast("string")
        return DecodedText(F.when(F.is_valid_utf8(text), text).otherwise(characters), F.lit(False))
    if encoding == BYTES:
        return DecodedText(characters, F.lit(False))
    text = F.translate(characters, "".join(WINDOWS_1252), "".join(WINDOWS_1252.values()))
    return DecodedText(text, characters.rlike(f"[{NOT_WINDOWS_1252}]"))


def bytes_as_text(text: str, encoding: str) -> str:
    """Return a text as it appears in a file that is decoded byte by byte."""
    return text.encode(codecs.lookup(encoding).name).decode(BYTES)
