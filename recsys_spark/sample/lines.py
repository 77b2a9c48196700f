"""Text files from columns, joined by Arrow and written atomically."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.sample.randomness import IntArray

__all__ = ["csv_lines", "digits", "join_fields", "pick", "texts", "write_lines"]


def texts(values: Sequence[str]) -> pa.Array:
    """Return a text column of these values."""
    return pa.array(values, pa.string())


def digits(values: IntArray, pattern: str = "") -> pa.Array:
    """Return whole numbers as text: 7, or u0000007 for the pattern "u0000000"."""
    numbers = pc.cast(pa.array(values), pa.string())
    if not pattern:
        return numbers
    prefix = pattern.rstrip("0")
    padded = pc.utf8_lpad(numbers, len(pattern) - len(prefix), "0")
    return pc.binary_join_element_wise(prefix, padded, "")


def pick(values: Sequence[str], indexes: IntArray) -> pa.Array:
    """Return a text column of values[indexes]."""
    return texts(values).take(pa.array(indexes))


def join_fields(fields: Sequence[pa.Array], separator: str) -> pa.Array:
    """Return the lines, without line ends, of columns that need no quoting."""
    return pc.binary_join_element_wise(*fields, separator)


def csv_lines(rows: Iterable[Sequence[str]]) -> pa.Array:
    """Return the lines of rows whose fields are quoted where RFC 4180 requires it."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(rows)
    return texts(lines.getvalue().split("\n")[:-1])


def write_lines(path: Path, header: str, lines: Iterable[pa.Array]) -> None:
    """Write a UTF-8 text file of the header (unless empty) and chunks of lines."""
    with atomic_write(path) as draft, draft.open("wb") as file:
        if header:
            file.write(f"{header}\n".encode())
        for chunk in lines:
            if len(chunk):
                rows = pa.ListArray.from_arrays([0, len(chunk)], chunk)
                file.write(pc.binary_join(rows, "\n")[0].as_buffer())
                file.write(b"\n")
