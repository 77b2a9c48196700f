"""The README tells the truth: its examples run, its names exist, and nothing that exists is missing from it.

The examples run as they stand, in order, in a folder like a checkout with small raw files and a small sample. Those
for places that are not here (a cluster's storage) are only read as configuration.
"""

import importlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.keys import settings_by_key
from recsys_spark.config.load import load_config
from recsys_spark.config.sample import SampleSettings
from recsys_spark.core.errors import RecsysError
from recsys_spark.core.names import FORMATS, KINDS, NETWORKS
from recsys_spark.sample.karaoke import KARAOKE
from recsys_spark.storage.schemas import TABLES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
JOBS = {file.stem for file in (ROOT / "jobs").glob("[!_]*.py")}

# A sample and a model that take seconds. The environment is a low layer: what an example says wins.
SMALL = {
    "RECSYS_SAMPLE__USERS": "80",
    "RECSYS_SAMPLE__ITEMS": "60",
    "RECSYS_SAMPLE__ROWS": "1200",
    "RECSYS_MODELS__ALS__RANK": "8",
    "RECSYS_MODELS__ALS__MAX_ITER": "3",
}
# Items of the full sample that the README asks about; the small sample has others.
ASKED_FOR = ("Stray Harbour 2", "Follow the Golden Summer")
RAW = {
    "plays/2025-07-01.csv": "listener,song,title,started\nann,s1,One,2025-07-01 10:00\nbob,s2,Two,2025-07-01 11:00\n",
    "totals.tsv": "user\tartist\tplays\nann\tThe Beatles\t12\nbob\tCan\t3\n",
    "ratings.jsonl": '{"user_id": "ann", "item_id": "m1", "stars": 5}\n',
    "ml-100k/u.data": "1\t1\t5\t874965758\n",
    "ml-100k/u.user": "1|24|M|technician|85711\n",
    "ml-100k/u.item": f"1|Toy Story (1995)|01-Jan-1995||http://example.org|{'|'.join('0' * 19)}\n",
    "ml-100k/README": "not data\n",
    "lastfm-360k/usersha1-artmbid-artname-plays.tsv": "u1\t\tCan\t12\nu1\t5b11f4ce-a62d\tNirvana\t3\n",
    "lastfm-360k/usersha1-profile.tsv": "u1\tf\t24\tGermany\tFeb 1, 2007\n",
    "lastfm-gender.csv": "user,artist,sex,country\n1,Can,f,Germany\n",
    "anime/rating.csv": "user_id,anime_id,rating\n1,20,-1\n1,21,8\n",
    "anime/anime.csv": 'anime_id,name,genre,type,episodes,members\n20,"Naruto, again",Action,TV,220,683297\n',
    "objections.txt": "somebody\n",
    "radio/monday.log": "ann;t1;1751360400\n",
}


@dataclass(frozen=True)
class Block:
    """A fenced block under its heading."""

    heading: str
    language: str
    text: str


@cache
def blocks() -> tuple[Block, ...]:
    found = []
    heading = language = ""
    fence: list[str] | None = None
    for line in README.splitlines():
        if line.startswith("```") and fence is None:
            language, fence = line.removeprefix("```"), []
        elif line.startswith("```"):
            found.append(Block(heading, language, "\n".join(fence or []) + "\n"))
            fence = None
        elif fence is not None:
            fence.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return tuple(found)


def commands(text: str) -> list[list[str]]:
    """The words of each command of a shell example."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@dataclass(frozen=True)
class Start:
    """A command that starts a job: `python jobs/NAME.py`, spark-submit, or the wheel's command."""

    environment: dict[str, str]
    job: str
    arguments: list[str]

    @classmethod
    def of(cls, words: list[str]) -> "Start | None":
        for place, word in enumerate(words):
            name = re.fullmatch(r"jobs/(\w+)\.py", word) or re.fullmatch(r"recsys-([a-z-]+)", word)
            if name is not None:
                environment = dict(part.split("=", 1) for part in words[:place] if re.match(r"[A-Z_]+=", part))
                return cls(environment, name[1].replace("-", "_"), words[place + 1 :])
        return None

    def run(self) -> str:
        """Succeeds, with all that it was asked for known; gives what was printed."""
        with redirect_stdout(io.StringIO()) as stdout:
            code = importlib.import_module(f"recsys_spark.jobs.{self.job}").main(self.arguments)
        printed = stdout.getvalue()
        assert code == 0, printed
        assert "--help" in self.arguments or not json.loads(printed.splitlines()[-1])["rows"].get("items_unknown")
        return printed


@cache
def checkout_after_make_run(folder: Path) -> Path:
    """Made once a session, for all tests that ask; needs an active Spark session."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name, text in RAW.items():
        file = folder / "raw" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    recipe = re.search(r"^run:.*\n\t\$\(BIN\)/(python .*) \$\(ARGS\)$", MAKEFILE, re.MULTILINE)
    start = Start.of(shlex.split(recipe[1])) if recipe is not None else None
    assert start is not None
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, folder)
        assert "Nearest neighbours of the most played items" in start.run()
    return folder


def settle(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Works in the folder, with small samples and models."""
    patch.chdir(folder)
    for name, value in SMALL.items():
        patch.setenv(name, value)


@pytest.fixture
def checkout(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; its tables are views."""
    folder = checkout_after_make_run(tmp_path_factory.getbasetemp() / "checkout")
    settle(monkeypatch, folder)
    for log in (folder / "data" / "tables").glob("*/_delta_log"):
        spark.read.format("delta").load(str(log.parent)).createOrReplaceTempView(log.parent.name)
    return folder


@dataclass(frozen=True)
class Follower:
    """Somebody who does what the README says."""

    spark: SparkSession
    folder: Path
    patch: pytest.MonkeyPatch

    def follow(self, block: Block) -> None:
        text = self._localised(block.text)
        match block.language:
            case "sh":
                for words in commands(text):
                    self._type(words)
            case "yaml":
                # The first line says which file it is.
                (self.folder / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
            case "python":
                self._run_python(text)
            case "sql":
                self.spark.sql(text).collect()
            case "json":
                check_wheel_task(json.loads(text)["python_wheel_task"])
            case "text":
                pass
            case other:
                pytest.fail(f"the README has a block of {other!r}, which its test does not know")

    def _localised(self, text: str) -> str:
        """With items that the small sample has, and absolute paths, as the JVM was started elsewhere."""
        for shown, name in zip(ASKED_FOR, similar_names(self.spark), strict=False):
            text = re.sub(re.escape(shown), name, text, flags=re.IGNORECASE)
        return re.sub(r"(?<![\w/-])(raw|data)/", lambda match: f"{self.folder}/{match[0]}", text)

    def _type(self, words: list[str]) -> None:
        missing = [word for word in words if word.startswith("conf/") and not (self.folder / word).exists()]
        assert missing == []
        start = Start.of(words)
        if start is None:
            check_other_command(words)
        elif "conf/cluster.yaml" in words:
            load_config(start.arguments)
        else:
            for name, value in start.environment.items():
                self.patch.setenv(name, value)
            start.run()

    def _run_python(self, text: str) -> None:
        """A module where the first line is its path, else something to type in; what it calls `rows` has some."""
        file = re.match(r"# (recsys_spark/[\w/]+)\.py\n", text)
        names: dict[str, Any] = {"spark": self.spark}
        if file is not None:
            module = types.ModuleType(file[1].replace("/", "."))
            self.patch.setitem(sys.modules, module.__name__, module)
            names = module.__dict__
            for line in re.findall(rf'"(\w+)": "({re.escape(module.__name__)}:\w+)"', README):
                self.patch.setitem(FORMATS, *line)
        exec(text, names)
        assert len(names.get("rows", "unasked")) > 0


def similar_names(spark: SparkSession) -> list[str]:
    """Plain names of items that have neighbours."""
    query = "SELECT DISTINCT name FROM items JOIN item_similarity USING (item_id) WHERE name RLIKE '^[A-Za-z ]+$'"
    return sorted(row["name"] for row in spark.sql(query).collect())


def check_other_command(words: list[str]) -> None:
    match words:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None, module
        case ["source", ".venv/bin/activate"] | ["pip", "install", *_] | ["export", *_]:
            pass
        case ["spark-class", "org.apache.spark.deploy.master.Master" | "org.apache.spark.deploy.worker.Worker", *_]:
            # tests/system/test_cluster.py starts them.
            pass
        case _:
            pytest.fail(f"the README has a command that its test does not know: {words}")


def check_wheel_task(task: dict[str, Any]) -> None:
    assert task["entry_point"].removeprefix("recsys-").replace("-", "_") in JOBS
    load_config(task["parameters"], {})


NEW_NETWORK = "A new network"
SECTIONS = {
    heading: tuple(group)
    for heading, group in groupby(blocks(), key=lambda block: block.heading)
    if heading != NEW_NETWORK
}


@pytest.mark.slow
@pytest.mark.parametrize("heading", SECTIONS)
def test_the_examples_of_a_section_run(
    heading: str, checkout: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(spark, checkout, monkeypatch)
    for block in SECTIONS[heading]:
        follower.follow(block)


@pytest.mark.slow
def test_a_new_network_is_a_file_and_a_line(checkout: Path, tmp_path: Path) -> None:
    """In a copy of the package: executors are processes of their own, which have to find the file as well."""
    package = tmp_path / "recsys_spark"
    shutil.copytree(ROOT / "recsys_spark", package)
    shutil.copytree(ROOT / "jobs", package / "jobs")
    module, shell = (block.text for block in blocks() if block.heading == NEW_NETWORK)
    (tmp_path / module.splitlines()[0].removeprefix("# ")).write_text(module, encoding="utf-8")
    registry = package / "registry.py"
    line = re.findall(r'`("bottleneck": .*,)`', README)[0]
    registry.write_text(registry.read_text().replace("NETWORKS = {\n", "NETWORKS = {\n    " + line + "\n"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for words in commands(shell):
        command = [sys.executable, "-m", f"recsys_spark.jobs.{Path(words[1]).stem}", *words[2:]]
        done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout.splitlines()[-1])["rows"]["users_model"] > 0


@pytest.mark.slow
def test_the_local_spark_submit_is_one(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [words for block in blocks() if block.language == "sh" for words in commands(block.text)]
    (line,) = [words for words in lines if words[0] == "spark-submit" and "conf/spark-local.conf" in words]
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    command = [*line, "--tables.root", str(checkout / "data" / "tables")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "done"


@pytest.mark.slow
def test_the_query_of_similar_items_gives_the_table_of_the_serving_model_by_name(
    checkout: Path, spark: SparkSession
) -> None:
    name = similar_names(spark)[0]
    names = {row["item_id"]: row["name"] for row in spark.table("items").collect()}
    (serving,) = [row for row in spark.table("models").collect() if "item_similarity" in row["serves"]]
    expected = [
        (row["position"], names[row["similar_item_id"]], row["similarity"])
        for row in spark.table("item_similarity").orderBy("position").collect()
        if names[row["item_id"]] == name and row["model_version"] == serving["model_version"]
    ]
    query = (checkout / "conf/sql/similar_items.sql").read_text()
    assert [tuple(row) for row in spark.sql(query, args={"name": name}).collect()] == expected != []


@pytest.mark.slow
def test_the_query_of_recommendations_gives_one_list_in_order(checkout: Path, spark: SparkSession) -> None:
    user = spark.table("user_index").where("user_idx = 0").collect()[0]["user_id"]
    query = (checkout / "conf/sql/recommendations.sql").read_text()
    rows = spark.sql(query, args={"user_id": user}).collect()
    assert [row["position"] for row in rows] == list(range(1, 21))
    assert all(row["item"] and row["origin"] for row in rows)


def test_every_query_in_conf_is_named_and_tested() -> None:
    assert {file.name for file in (ROOT / "conf/sql").iterdir()} == {"similar_items.sql", "recommendations.sql"}


def test_every_key_that_is_mentioned_exists() -> None:
    # And the one of the network that the reader is shown how to add.
    keys = {**settings_by_key(), "models.bottleneck.width": None}
    flags = re.findall(r"--([a-z_]+(?:\.[a-z_0-9]+)+)", README)
    variables = [name.lower().replace("__", ".") for name in re.findall(r"RECSYS_(\w+__\w+)=", README)]
    sections = {key.partition(".")[0] for key in keys}
    quoted = re.findall(r"`([a-z_]+)((?:\.[A-Za-z_]+)*?)(\.\*)?`", README)
    mentioned = [(section + rest, bool(star)) for section, rest, star in quoted if section in sections and rest + star]
    assert len(flags) > 20 and len(variables) == 3 and len(mentioned) > 10
    assert [key for key in [*flags, *variables] if key not in keys] == []
    assert [key for key, star in mentioned if not star and key not in keys] == []
    prefixes = [key.replace("KIND", next(iter(KINDS))) + "." for key, star in mentioned if star]
    assert [prefix for prefix in prefixes if not any(key.startswith(prefix) for key in keys)] == []


def test_items_that_the_examples_ask_for_are_in_the_sample_of_make_run() -> None:
    plan = SampleSettings().plan(seed=42)
    lines = [line for chunk in KARAOKE.side_files["items.csv"].lines(plan) for line in chunk.to_pylist()]
    names = {line.split(",")[1] for line in lines}
    assert [name for name in ASKED_FOR if name not in names or name.lower() not in README.lower()] == []


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without backticks."""
    section = re.split(rf"^#+ {re.escape(heading)}$", README, flags=re.MULTILINE)[1]
    lines = re.split(r"^#", section, flags=re.MULTILINE)[0].splitlines()
    table = [line for line in lines if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in table]


@pytest.mark.usefixtures("spark")
def test_the_tables_are_described_with_every_column() -> None:
    described = {name: columns.split(", ") for name, _, columns in rows_of("Tables")}
    assert described == {name: table.schema.fieldNames() for name, table in TABLES.items()}


def test_every_job_format_and_kind_is_described() -> None:
    assert {job for job, *_ in rows_of("How the data flows")} == JOBS
    assert [name for name in FORMATS if not re.search(rf"(format|`){name}`?\b|format:? {name}\b", README)] == []
    assert f"kinds: {', '.join(KINDS)}" in README
    assert [name for name in NETWORKS if name not in README] == []


def test_every_exit_code_is_described() -> None:
    kinds: list[type[RecsysError]] = [RecsysError, *RecsysError.__subclasses__()]
    codes = {0, *(kind.exit_code for kind in kinds)}
    assert {int(code) for code, _ in rows_of("How a job ends")} == codes


def tree() -> dict[str, bool]:
    """Path -> whether it is a folder of which the tree shows single files."""
    found: dict[str, bool] = {}
    folder = ""
    (text,) = [block.text for block in blocks() if block.heading == "The repository" and block.language == "text"]
    for line in text.splitlines():
        name = line.split()[0]
        folder = folder if line.startswith(" ") else ""
        found[folder + name] = False
        if folder:
            found[folder] = True
        elif name.endswith("/"):
            folder = name
    return found


def test_the_tree_shows_what_there_is() -> None:
    assert [path for path in tree() if not (ROOT / path).exists()] == []
    folders = ("jobs", "recsys_spark", "conf", "notebooks", "tests", "requirements")
    files = [file.relative_to(ROOT) for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    shown = {path for path, is_detailed in tree().items() if not is_detailed}
    missing = [
        file.as_posix()
        for file in files
        if file.name not in ("__init__.py", "py.typed")
        and file.suffix != ".pyc"
        and not any(path in shown for path in (file.as_posix(), *(f"{parent}/" for parent in file.parents)))
    ]
    assert missing == []
