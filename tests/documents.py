"""README, CONTRIBUTING and the pages of docs/: their blocks, commands and links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = [
    "JOBS",
    "MAKEFILE",
    "PAGES",
    "ROOT",
    "TEXT",
    "Block",
    "JobCall",
    "Page",
    "job_calls",
    "page",
    "words_of_commands",
]

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
JOBS = {file.stem for file in (ROOT / "jobs").glob("[!_]*.py")}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title (the file it stands for) and its text."""

    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Page:
    """A Markdown file, by its path below the root of the repository."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> Path:
        """Return the file."""
        return ROOT / self.name

    @cached_property
    def text(self) -> str:
        """Return the whole text."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Return the fenced blocks in their order."""
        found = re.findall(r"^```(\w+)(?: title=\"(.*?)\")?\n(.*?\n)```$", self.text, re.MULTILINE | re.DOTALL)
        assert self.text.count("```") == 2 * len(found), f"{self} has a fence without a language or an end"
        return tuple(Block(*parts) for parts in found)

    @property
    def prose(self) -> str:
        """Return the text without fenced blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    @property
    def start(self) -> "Page | None":
        """Return the page of the line "Start from", whose tables this page needs."""
        link = re.search(r"^\*\*Start from:\*\* .*?\]\((\S+\.md)\)", self.text, re.MULTILINE)
        return None if link is None else page((self.path.parent / link[1]).resolve().relative_to(ROOT).as_posix())

    @property
    def anchors(self) -> set[str]:
        """Return the fragments that a link may name, one a heading."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}

    @property
    def links(self) -> list[str]:
        """Return the targets of links and images that stay within the repository."""
        targets = re.findall(r"\]\(([^)\s]+)\)", self.prose)
        return [target for target in targets if not re.match(r"https?://|mailto:", target)]


def page(name: str) -> Page:
    """Return the page of a path below the root."""
    (found,) = [page for page in PAGES if page.name == name]
    return found


PAGES = tuple(
    Page(file.relative_to(ROOT).as_posix())
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
)
TEXT = "\n".join(page.text for page in PAGES)


def words_of_commands(text: str) -> list[list[str]]:
    """Return the words of each command of a shell block."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@dataclass(frozen=True)
class JobCall:
    """A command that starts a job: `python jobs/NAME.py`, spark-submit, or a command of the wheel."""

    environment: dict[str, str]
    job: str
    arguments: list[str]

    @classmethod
    def from_words(cls, words: list[str]) -> "JobCall | None":
        """Return the call, or None if the command starts no job."""
        for place, word in enumerate(words):
            # `recsys ingest-plays` is one call as well; other commands of recsys are no jobs.
            command = "-".join(words[place : place + 2]) if word == "recsys" else word
            name = re.fullmatch(r"jobs/(\w+)\.py", word) or re.fullmatch(r"recsys-([a-z-]+)", command)
            if name is not None and name[1].replace("-", "_") in JOBS:
                environment = dict(part.split("=", 1) for part in words[:place] if re.match(r"[A-Z_]+=", part))
                arguments = words[place + (2 if words[place] == "recsys" else 1) :]
                return cls(environment, name[1].replace("-", "_"), arguments)
        return None


def job_calls(page: Page) -> Iterator[JobCall]:
    """Yield the job calls of a page."""
    for block in page.blocks:
        if block.language == "sh":
            for words in words_of_commands(block.text):
                if (call := JobCall.from_words(words)) is not None:
                    yield call
