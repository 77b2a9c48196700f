"""Check of Spark's datetime patterns.

Spark reports an invalid pattern only when it parses the first row.
"""

import re

__all__ = ["check_time_pattern"]

# https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html: letters that parse, with their longest runs.
LETTERS = {"G": 4, "y": 6, "M": 4, "L": 4, "D": 3, "d": 2, "a": 1, "h": 2, "H": 2, "k": 2, "K": 2, "m": 2, "s": 2}
LETTERS |= {"S": 9, "V": 2, "z": 4, "O": 4, "x": 5, "X": 5, "Z": 5}
QUOTED = "'[^']*'"
DIRECTIVES = {"Y": "yyyy", "y": "yy", "m": "MM", "d": "dd", "H": "HH", "I": "hh", "M": "mm", "S": "ss", "p": "a"}
DIRECTIVES |= {"f": "SSSSSS", "j": "DDD", "z": "xx", "Z": "VV", "b": "MMM", "B": "MMMM", "%": "%"}
DIRECTIVES |= {"F": "yyyy-MM-dd", "T": "HH:mm:ss", "D": "MM/dd/yy", "R": "HH:mm"}


def check_time_pattern(pattern: str) -> None:
    """Raise ValueError for a pattern that cannot parse times.

    The message has the pattern that may be meant.
    """
    if "%" in pattern:
        meant = "".join(_literal(text) + _directive(name) for text, name in re.findall(r"([^%]*)(?:%-?(.)|$)", pattern))
        raise ValueError(f"a directive such as %Y belongs to strftime; Spark's pattern is {meant!r}")
    if pattern.count("'") % 2:
        raise ValueError("a quote (') has no end; quotes enclose literal text, and '' is a quote")
    # Quoted parts are literal text; runs of a letter become one item each.
    unquoted = re.sub(QUOTED, " ", pattern)
    runs = [run.group() for run in re.finditer(r"([A-Za-z])\1*", unquoted)]
    letters = {run[0] for run in runs}
    meant = "".join(
        part if part.startswith("'") else _in_case_of_times(part, letters) for part in re.split(f"({QUOTED})", pattern)
    )
    hint = f"; {meant!r} may be meant" if meant != pattern else ""
    for run in runs:
        if run[0] not in LETTERS:
            raise ValueError(f"times cannot be read with the letter {run[0]!r} of Spark's datetime patterns{hint}")
        if len(run) > LETTERS[run[0]]:
            raise ValueError(f"{run!r} is longer than Spark's datetime patterns allow ({LETTERS[run[0]]} letters)")
    if re.search("[#{}]", unquoted):
        raise ValueError("the characters #, { and } must stand in quotes (')")
    if hint:
        raise ValueError(f"y is the year, M the month, d the day, H the hour of 24, m the minute{hint}")


def _in_case_of_times(text: str, letters: set[str]) -> str:
    """Return part of a pattern with its letters in the case that dates need.

    `letters` has those of the whole pattern.
    """
    if "Y" in letters or ("D" in letters and letters & {"M", "L"}):
        text = text.replace("Y", "y").replace("D", "d")
    if re.search("y[^A-Za-z]*m", text):
        # The minute stands where the month belongs, and often the month where the minute does.
        text = re.sub("(y[^A-Za-z]*)mm?", r"\1MM", text, count=1)
        text = re.sub("([hH][^A-Za-z]*)MM?", r"\1mm", text)
    elif not letters & {"M", "L", "h", "H", "k", "K"}:
        text = text.replace("m", "M")
    if "h" in letters and not letters & {"a", "H"}:
        text = text.replace("h", "H")
    return text.replace("T", "'T'")


def _directive(name: str) -> str:
    return DIRECTIVES.get(name, "")


def _literal(text: str) -> str:
    """Return text of a strftime format with its letters in quotes."""
    return re.sub("[A-Za-z]+", lambda letters: f"'{letters.group()}'", text)
