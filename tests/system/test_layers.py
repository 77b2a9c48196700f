"""Tests of the package's structure: order of rooms, engines of each room, sizes of files.

They read the source, so that code that no test runs is covered as well.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The rooms from the ground up. A module may import its own room and the rooms above it in this list.
ROOMS = (
    "core",
    "config",
    "storage",
    "runtime",
    "sample",
    "ingestion",
    "preparation",
    "ranking",
    "metrics",
    "models",
    "networks",
    "training",
    "inference",
    "recommend",
    "evaluation",
    "publish",
    "gender",
    "report",
    "pipeline",
    "benchmark",
    "reproduction",
    "jobs",
    "interface",
    # `python -m recsys_spark` is one call of interface.
    "__main__",
)
MAX_TOP_LEVEL_ENTRIES = 26

# What is imported in these modules at most.
ONLY_IN = {
    "delta": "",
    "fcntl": "storage.locks",
    "numba": "models.block_als.kernel",
    "py4j": "storage.spark_errors",
    "petastorm": "training.shard_loader",
    "pyspark.ml": "models.als training.distributed gender.features gender.mllib_fit gender.reliability",
    "safetensors": "inference.autoencoder_codes training.checkpoint training.weights",
    "torch.distributed": "training.ranks",
    "deltalake": "storage.local_tables storage.stored_tables",
    "mlflow": "publish.mlflow_store",
    "importlib.import_module": "__init__ interface.registry interface.checks core.names pipeline.steps",
    "pickle": "",
    "cloudpickle": "",
    "dill": "",
    "joblib": "",
    "marshal": "",
    "shelve": "",
}
CONTEXT = {"sparkContext", "rdd", "_jvm", "_jsc", "_jdf", "_sc"}
FORBIDDEN_CALLS = {
    "eval": "runs code",
    "exec": "runs code",
    "compile": "makes code",
    "__import__": "hides what is imported",
    "yaml.load": "can run code: use yaml.safe_load",
    "yaml.full_load": "can run code: use yaml.safe_load",
    "yaml.unsafe_load": "runs code: use yaml.safe_load",
}
WHOLE_FRAMES = {"toPandas", "toArrow", "toLocalIterator"}
# The caller compares the size with gender.max_driver_bytes before.
BOUNDED_FRAMES = {"gender.array_fit"}

MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 70


def _module_name(file: Path) -> str:
    """Return the name of a module without the package's, as `config` or `ingestion.plays`."""
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removeprefix("recsys_spark.")
    return name.removesuffix(".__init__")


MODULES = {
    _module_name(file): file for folder in ("recsys_spark", "jobs") for file in sorted((ROOT / folder).rglob("*.py"))
}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes except those for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from running_nodes(child)


@cache
def imports_of(module: str) -> frozenset[str]:
    """Return the full dotted names that a module imports, also inside functions.

    `from a import b` gives a.b.
    """
    found = set()
    for node in running_nodes(tree_of(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def own_imports_of(module: str) -> set[str]:
    """Return the modules of this project that a module imports."""
    own = [name for name in imports_of(module) if is_below(name, "recsys_spark") or is_below(name, "jobs")]
    chains = [with_parents(name.removeprefix("recsys_spark.")) for name in own]
    return {next((name for name in chain if name in MODULES), "__init__") for chain in chains}


def with_parents(name: str) -> list[str]:
    """Return a dotted name and its parents: a.b.c, a.b, a."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


def is_below(name: str, prefix: str) -> bool:
    return prefix in with_parents(name)


def room_of(module: str) -> str:
    """Return the top folder of a module."""
    return module.partition(".")[0]


def calls_of(module: str) -> list[ast.Call]:
    return [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]


def attributes_of(module: str) -> set[str]:
    return {node.attr for node in ast.walk(tree_of(module)) if isinstance(node, ast.Attribute)}


def test_every_folder_is_a_room():
    modules = [module for module in MODULES if module != "__init__"]
    assert {room_of(module) for module in modules} == set(ROOMS)


def test_top_level_of_the_package_is_short():
    package = ROOT / "recsys_spark"
    entries = [entry for entry in package.iterdir() if entry.name != "__pycache__"]
    assert len(entries) <= MAX_TOP_LEVEL_ENTRIES
    assert sorted(entry.name for entry in entries if entry.suffix == ".py") == ["__init__.py", "__main__.py"]


def arrows() -> Iterator[tuple[str, str]]:
    """Yield each import between two rooms, as importing and imported module."""
    for module in MODULES:
        for other in own_imports_of(module):
            if other != "__init__" and room_of(other) != room_of(module):
                yield module, other


def test_rooms_only_import_rooms_below():
    upward = [
        f"{module} imports {other}"
        for module, other in arrows()
        if ROOMS.index(room_of(other)) > ROOMS.index(room_of(module))
    ]
    assert upward == []


def test_folders_make_no_circle():
    """The check ignores ROOMS, whose order could hide a circle."""
    below = {room: {room_of(other) for module, other in arrows() if room_of(module) == room} for room in ROOMS}
    while free := [room for room, others in below.items() if not others & below.keys()]:
        for room in free:
            del below[room]
    circle = [
        f"{module} imports {other}" for module, other in arrows() if {room_of(module), room_of(other)} <= below.keys()
    ]
    assert circle == []


def test_imports_are_absolute_and_make_no_circle():
    assert [(module, name) for module in MODULES for name in imports_of(module) if name.startswith(".")] == []
    waiting = {module: own_imports_of(module) - {module} for module in MODULES}
    while free := [module for module, others in waiting.items() if not others & waiting.keys()]:
        for module in free:
            del waiting[module]
    assert sorted(waiting) == [], "these import each other, or one that does"


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_spoken_to_in_its_place_alone(library):
    users = {module for module in MODULES if any(is_below(name, library) for name in imports_of(module))}
    assert users <= set(ONLY_IN[library].split())


# The libraries of the engines that a room may import; other rooms may import any.
ENGINES = ("pyspark", "delta", "torch")
ALLOWED_ENGINES = {
    "core": (),
    "config": (),
    "metrics": (),
    "networks": ("torch",),
    "ranking": ("pyspark.sql",),
}


@pytest.mark.parametrize("room", ALLOWED_ENGINES)
def test_a_room_imports_its_engines_alone(room):
    names = {name for module in MODULES if room_of(module) == room for name in imports_of(module)}
    engines = {name for name in names if any(is_below(name, engine) for engine in ENGINES)}
    assert {name for name in engines if not any(is_below(name, engine) for engine in ALLOWED_ENGINES[room])} == set()


def test_map_projection_uses_arrays_alone():
    modules = {"report.map_layout", "report.map_clusters", "report.map_neighbours", "report.map_repulsion"}
    names = {name for module in modules for name in imports_of(module)}
    assert [name for name in names if is_below(name, "pyspark") or is_below(name, "torch")] == []


def test_torch_and_spark_stay_apart():
    rooms = {module: room_of(module) for module in MODULES}
    spark = {module for module in MODULES if any(is_below(name, "pyspark") for name in imports_of(module))}
    torch = {module for module in MODULES if any(is_below(name, "torch") for name in imports_of(module))}
    assert {module for module in spark if rooms[module] in ("networks", "training")} == {"training.distributed"}
    assert {rooms[module] for module in torch} == {"networks", "training", "inference", "benchmark"}


def test_only_the_session_touches_the_spark_context():
    """Spark Connect and shared clusters have no Spark context.

    MLlib's RankingMetrics, a reference of the benchmark, needs one.
    """
    users = {module: used for module in MODULES if (used := attributes_of(module) & CONTEXT)}
    assert users.keys() == {"runtime.spark_context", "benchmark.evaluation_measures"}
    assert users["benchmark.evaluation_measures"] == {"rdd"}


def test_only_tables_reads_and_writes_delta():
    def touches_delta(module: str) -> bool:
        texts = {ast.unparse(call) for call in calls_of(module)}
        names = {node.value for node in ast.walk(tree_of(module)) if isinstance(node, ast.Constant)}
        return (
            any(text.endswith(".format('delta')") for text in texts)
            or any("delta.`" in name for name in names if isinstance(name, str))
            or bool(attributes_of(module) & {"saveAsTable", "insertInto", "writeTo"})
        )

    assert {module for module in MODULES if touches_delta(module)} == {"storage.table_access", "storage.tables"}


def test_nothing_runs_code_that_came_as_data():
    called = [(module, ast.unparse(call.func)) for module in MODULES for call in calls_of(module)]
    assert [(module, name, FORBIDDEN_CALLS[name]) for module, name in called if name in FORBIDDEN_CALLS] == []
    loads = [(module, ast.unparse(call)) for module in MODULES for call in calls_of(module)]
    assert [load for load in loads if load[1].startswith("np.load(") and "allow_pickle=False" not in load[1]] == []


def test_no_frame_is_fetched_whole_without_a_limit():
    unlimited = [
        (module, ast.unparse(call))
        for module in MODULES
        for call in calls_of(module)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in WHOLE_FRAMES
        and module not in BOUNDED_FRAMES
        and ".limit(" not in ast.unparse(call.func.value)
    ]
    assert unlimited == []


def test_files_and_functions_stay_small():
    lines = {module: len(file.read_text(encoding="utf-8").splitlines()) for module, file in MODULES.items()}
    assert {module: number for module, number in lines.items() if number > MAX_FILE_LINES} == {}
    functions = {
        f"{module}.{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: number for name, number in functions.items() if number > MAX_FUNCTION_LINES} == {}


def test_every_module_says_what_it_is_for_and_what_it_offers():
    assert [module for module in MODULES if tree_of(module).body and not ast.get_docstring(tree_of(module))] == []
    rooms = [module for module, file in MODULES.items() if file.name != "__init__.py" and room_of(module) != "jobs"]
    offers = {module for module in rooms for node in tree_of(module).body if ast.unparse(node).startswith("__all__ = ")}
    assert set(rooms) - offers == set()
