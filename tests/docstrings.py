"""Check of docstrings: form of the first sentence, by the rules in CONTRIBUTING.md.

Run as `python -m tests.docstrings`; prints one line a finding and ends with 1 if there is any.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("recsys_spark", "jobs", "tests")
MAX_WORDS = 15

QUESTIONS = set(["What", "Whether", "Who", "Whose", "Whom", "How", "Which", "Where", "When", "Why", "Of", "That", "If"])
# Words that begin a noun phrase or a clause; the docstring of a function begins with a verb.
NO_VERBS = QUESTIONS | set(
    [
        "A",
        "An",
        "The",
        "One",
        "Two",
        "All",
        "Each",
        "Every",
        "Any",
        "Both",
        "Some",
        "No",
        "None",
        "Nothing",
        "Nobody",
        "Not",
        "Only",
        "It",
        "Its",
        "This",
        "These",
        "Those",
        "There",
        "Their",
        "They",
        "As",
        "At",
        "Before",
        "Behind",
        "Below",
        "Beside",
        "Between",
        "By",
        "For",
        "From",
        "In",
        "Into",
        "On",
        "Over",
        "To",
        "Under",
        "With",
        "Without",
        "Within",
        "And",
        "But",
        "Or",
        "So",
        "Such",
        "Same",
        "Other",
        "Another",
        "More",
        "Most",
        "Less",
        "Least",
        "Many",
        "Much",
        "True",
        "False",
    ]
)
# Words that say less than the field's own term.
VAGUE = re.compile(r"\b(told|tells|said|whoever|whomever|somebody|nobody|stranger|strangers)\b", re.IGNORECASE)

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def findings_in(source: str, name: str, *, is_test: bool = False) -> Iterator[str]:
    """Yield one line for each docstring of a source text that breaks a rule."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Definition) and (text := ast.get_docstring(node)):
            line = 1 if isinstance(node, ast.Module) else node.lineno
            for problem in problems_of(node, text, is_test=is_test):
                yield f"{name}:{line}: {problem}: {first_sentence(text)!r}"


def problems_of(node: Definition, text: str, *, is_test: bool) -> Iterator[str]:
    """Yield the rules that one docstring breaks."""
    sentence = first_sentence(text)
    first = sentence.split()[0]
    if len(sentence.split()) > MAX_WORDS:
        yield f"more than {MAX_WORDS} words in the first sentence"
    if first in QUESTIONS:
        yield "begins with a question word"
    elif needs_verb(node, is_test=is_test) and (first in NO_VERBS or not first[0].isalpha()):
        yield "does not begin with a verb"
    if found := VAGUE.search(text):
        yield f"vague word {found.group()!r}"


def needs_verb(node: Definition, *, is_test: bool) -> bool:
    """Return True for functions; a test's docstring may also state the expected behaviour."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not (is_test and node.name.startswith("test_"))


def first_sentence(text: str) -> str:
    """Return the text up to the end of the first clause or paragraph."""
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return re.split(r"(?<=[.:;])\s", paragraph, maxsplit=1)[0]


def main() -> int:
    """Print all findings and return the exit code."""
    found = [
        finding
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*.py"))
        for finding in findings_in(file.read_text("utf-8"), str(file.relative_to(ROOT)), is_test=folder == "tests")
    ]
    print("\n".join([*found, f"{len(found)} docstrings to mend"] if found else ["docstrings: no findings"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
