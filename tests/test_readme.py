"""The README tells the truth: its examples run, its names exist, and nothing that exists is missing from it.

The examples run as they stand, below a temporary folder with small raw files and a small sample. Commands for
places that are not here (a cluster's storage) are only read by the configuration.
"""

import importlib
import importlib.util
import io
import json
import re
import shlex
import shutil
import sys
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark import errors
from recsys_spark.config_layers import load_config, settings_by_key
from recsys_spark.registry import FORMATS, KINDS
from recsys_spark.sample.karaoke import KARAOKE
from recsys_spark.sample.settings import SampleSettings
from recsys_spark.schemas import TABLES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
JOBS = sorted(file.stem for file in (ROOT / "jobs").glob("[!_]*.py"))

# A sample and a model that take seconds. The environment is the lowest layer: whatever an example says still wins.
SMALL = {
    "RECSYS_SAMPLE__USERS": "80",
    "RECSYS_SAMPLE__ITEMS": "60",
    "RECSYS_SAMPLE__ROWS": "1200",
    "RECSYS_MODELS__ALS__RANK": "8",
    "RECSYS_MODELS__ALS__MAX_ITER": "3",
}
# Names of items that the README shows, from the sample of full size.
SHOWN = ("Stray Harbour 2", "Follow the Golden Summer")
GENRES = "|".join("0" * 19)
RAW = {
    "plays/2025-07-01.csv": "listener,song,title,started\n"
    + "ann,s1,One,2025-07-01 10:00\nbob,s2,Two,2025-07-01 11:00\n",
    "totals.tsv": "user\tartist\tplays\n" + "ann\tBeatles\t12\nbob\tCan\t3\n",
    "ratings.jsonl": '{"user_id": "ann", "item_id": "m1", "stars": 5}\n',
    "ml-100k/u.data": "1\t1\t5\t874965758\n",
    "ml-100k/u.user": "1|24|M|technician|85711\n",
    "ml-100k/u.item": f"1|Toy Story (1995)|01-Jan-1995||http://example.org|{GENRES}\n",
    "ml-100k/README": "not data\n",
    "lastfm-360k/usersha1-artmbid-artname-plays.tsv": "u1\t\tCan\t12\nu1\t5b11f4ce-a62d-471e-81fc-a69a8278c7da\tNirvana\t3\n",
    "lastfm-360k/usersha1-profile.tsv": "u1\tf\t24\tGermany\tFeb 1, 2007\n",
    "lastfm-gender.csv": "user,artist,sex,country\n1,Can,f,Germany\n",
    "anime/rating.csv": "user_id,anime_id,rating\n1,20,-1\n1,21,8\n",
    "anime/anime.csv": 'anime_id,name,genre,type,episodes,members\n20,"Naruto, again",Action,TV,220,683297\n',
    "radio/monday.log": "ann;t1;1751360400\n",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: the heading it stands under, its language, its text."""

    heading: str
    language: str
    text: str


@cache
def blocks() -> tuple[Block, ...]:
    found, heading, fence = [], "", None
    for line in README.splitlines():
        if line.startswith("```"):
            if fence is None:
                fence, language = [], line.removeprefix("```")
            else:
                found.append(Block(heading, language, "\n".join(fence) + "\n"))
                fence = None
        elif fence is not None:
            fence.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return tuple(found)


def block_after(heading: str, language: str) -> str:
    return next(block.text for block in blocks() if (block.heading, block.language) == (heading, language))


def commands(text: str) -> list[list[str]]:
    """The words of each command; lines that end in a backslash go on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def table_rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without backticks."""
    lines = iter(README.splitlines())
    for line in lines:
        if line.startswith("#") and line.lstrip("# ") == heading:
            break
    table: list[str] = []
    for line in lines:
        if line.startswith("|"):
            table.append(line)
        elif table or line.startswith("#"):
            break
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in table[2:]]


@dataclass(frozen=True)
class Start:
    """A command that starts a job: its environment, job and arguments."""

    environment: dict[str, str]
    job: str
    arguments: list[str]

    @property
    def is_for_another_place(self) -> bool:
        return "conf/cluster.yaml" in self.arguments


def as_start(words: list[str]) -> Start | None:
    """The job that a command starts, by whatever means; None where it starts none."""
    for place, word in enumerate(words):
        script = re.fullmatch(r"jobs/(\w+)\.py", word) or re.fullmatch(r"recsys-([a-z-]+)", word)
        if script is not None and not {"make", "ls"} & set(words[:place]):
            environment = dict(part.split("=", 1) for part in words[:place] if re.match(r"[A-Z_]+=", part))
            return Start(environment, script[1].replace("-", "_"), words[place + 1 :])
    return None


def starts() -> list[Start]:
    """All jobs that the shell examples start."""
    lines = [words for block in blocks() if block.language == "sh" for words in commands(block.text)]
    return [start for words in lines if (start := as_start(words)) is not None]


@cache
def furnished(spark: SparkSession, factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout after `make run`, with raw files; made once for all tests that ask."""
    folder = factory.mktemp("checkout")
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name, text in RAW.items():
        file = folder / "raw" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    recipe = re.search(r"^run:.*\n\t\$\(BIN\)/python (.*) \$\(ARGS\)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, folder)
        assert "Nearest neighbours of the most played items" in run(as_start(shlex.split(f"python {recipe[1]}")))
    return folder


def settle(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Works from the folder as a person would from a checkout, with small samples and models."""
    patch.chdir(folder)
    for name, value in SMALL.items():
        patch.setenv(name, value)


def run(start: Start | None) -> str:
    """What a job printed that must have succeeded."""
    assert start is not None
    with redirect_stdout(io.StringIO()) as stdout:
        code = importlib.import_module(f"recsys_spark.jobs.{start.job}").main(start.arguments)
    assert code == 0, stdout.getvalue()
    return stdout.getvalue()


@pytest.fixture
def checkout(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The furnished folder, with its tables as views."""
    folder = furnished(spark, tmp_path_factory)
    settle(monkeypatch, folder)
    for table in (folder / "data" / "tables").glob("[a-z]*"):
        spark.read.format("delta").load(str(table)).createOrReplaceTempView(table.name)
    return folder


def localised(text: str, folder: Path) -> str:
    """The JVM was started elsewhere, so paths become absolute; items get names that the small sample has."""
    names = sorted(item.split(",")[1] for item in small_items(folder) if '"' not in item)
    for shown, name in zip(SHOWN, names, strict=False):
        text = re.sub(re.escape(shown), name, text, flags=re.IGNORECASE)
    return re.sub(r"(?<![\w/-])(raw|data)/", lambda match: f"{folder}/{match[0]}", text)


def small_items(folder: Path) -> list[str]:
    return (folder / "data/tables/_files/sample/sample/items.csv").read_text(encoding="utf-8").splitlines()[1:]


@dataclass
class Reader:
    """Somebody who does what the README says, block after block."""

    folder: Path
    spark: SparkSession
    patch: pytest.MonkeyPatch
    done: int = 0

    def follow(self, block: Block) -> None:
        text = localised(block.text, self.folder)
        getattr(self, f"follow_{block.language}")(text)

    def follow_yaml(self, text: str) -> None:
        """Its first line says where it goes."""
        (self.folder / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")

    def follow_sh(self, text: str) -> None:
        for words in commands(text):
            start = as_start(words)
            if start is None:
                check_other_command(words)
            elif "--help" not in start.arguments and not start.is_for_another_place:
                for name, value in start.environment.items():
                    self.patch.setenv(name, value)
                run(start)
                self.done += 1

    def follow_python(self, text: str) -> None:
        """A module where its first line is a path, else what somebody types into a notebook."""
        file = re.match(r"# recsys_spark/([\w/]+)\.py\n", text)
        if file is None:
            exec(text, {"spark": self.spark})
            return
        module = types.ModuleType("recsys_spark." + file[1].replace("/", "."))
        exec(text, module.__dict__)
        self.patch.setitem(sys.modules, module.__name__, module)
        (line,) = re.findall(rf'"(\w+)": "({re.escape(module.__name__)}:\w+)"', README)
        self.patch.setitem(FORMATS, *line)

    def follow_sql(self, text: str) -> None:
        self.spark.sql(text).collect()

    def follow_json(self, text: str) -> None:
        task = json.loads(text)["python_wheel_task"]
        assert task["entry_point"] in {f"recsys-{job.replace('_', '-')}" for job in JOBS}
        load_config(task["parameters"], {})

    def follow_text(self, text: str) -> None:
        """Pictures."""


def check_other_command(words: list[str]) -> None:
    """Commands that start no job name targets, files and modules that exist."""
    match words:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None, module
        case ["source", ".venv/bin/activate"] | ["pip", "install", *_]:
            pass
        case _:
            pytest.fail(f"the README has a command that its test does not know: {words}")


SECTIONS = {heading: tuple(group) for heading, group in groupby(blocks(), key=lambda block: block.heading)}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_examples_of_a_section_do_what_it_says(
    heading: str, checkout: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(checkout, spark, monkeypatch)
    for block in SECTIONS[heading]:
        reader.follow(block)
    expected = [
        start
        for block in SECTIONS[heading]
        if block.language == "sh"
        for words in commands(block.text)
        if (start := as_start(words)) and "--help" not in start.arguments and not start.is_for_another_place
    ]
    assert reader.done == len(expected)
