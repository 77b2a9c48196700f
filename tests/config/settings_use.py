"""Settings that a job uses, found in the source: no job is run, and branches that no test takes count as well.

The search begins at the work and the checks of a job. It follows every name that a function mentions, also in
annotations, to the definition in this project; of a class it follows all methods. A use of a setting is a chain of
attributes such as `run.config.split.seed`, also through a variable, parameter or field that holds the section.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from recsys_spark.config.model import BaseConfig

__all__ = ["Definition", "tree_of", "used_settings"]

ROOT = Path(__file__).parents[2]
CONFIG = "recsys_spark.config.model"
SECTIONS = {name: info.annotation for name, info in BaseConfig.model_fields.items()}
SECTION_OF = {annotation.__name__: name for name, annotation in SECTIONS.items() if annotation is not None}
# Names of variables and attributes that hold the whole configuration.
HOLDERS = {"config", "_config"}


class Definition(NamedTuple):
    """A function, class or assignment of a module, or a method of a class."""

    module: str
    name: str


# Methods of the configuration are followed where they are called. The frame of jobs uses settings for all of them.
# Loading checks sections against each other, whatever the job.
NOT_FOLLOWED = {
    Definition(CONFIG, "BaseConfig"),
    Definition("recsys_spark.runtime.job", "Job"),
    Definition("recsys_spark.config.load", "load_config"),
}


@cache
def tree_of(module: str) -> ast.Module | None:
    """Return the source of a module of this project, or None for another one."""
    base = ROOT.joinpath(*module.split("."))
    file = next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.exists()), None)
    inside = module.startswith(("recsys_spark", "jobs"))
    return ast.parse(file.read_text(encoding="utf-8")) if inside and file is not None else None


@cache
def definitions_of(module: str) -> Mapping[str, ast.AST]:
    """Return name -> definition of a module."""
    tree, found = tree_of(module), dict[str, ast.AST]()
    for node in [] if tree is None else tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


@cache
def imports_of(module: str) -> Mapping[str, Definition]:
    """Return name -> definition for all names that a module imports, also inside functions."""
    tree = tree_of(module)
    nodes = [] if tree is None else [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname or alias.name: Definition(node.module, alias.name)
        for node in nodes
        for alias in node.names
        if node.module
    }


def reached(starts: list[Definition]) -> set[Definition]:
    """Return all definitions that code mentions, from some definitions on."""
    found, waiting = set[Definition](), list(starts)
    while waiting:
        place = waiting.pop()
        node = definitions_of(place.module).get(place.name)
        if node is None or place in found or place in NOT_FOLLOWED:
            continue
        found.add(place)
        for name in names_in(node):
            local = Definition(place.module, name)
            waiting.append(local if name in definitions_of(place.module) else imports_of(place.module).get(name, local))
    return found


@cache
def names_in(node: ast.AST) -> set[str]:
    """Return the names in code, and those in annotations written as texts."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return names | {text for text in texts if text.isidentifier() and text[0].isupper()}


def used_settings(starts: list[Definition]) -> dict[str, set[str]]:
    """Return key or section -> the places that use it."""
    used: dict[str, set[str]] = {}
    for place in reached(starts):
        for key in uses_in(definitions_of(place.module)[place.name]):
            used.setdefault(key, set()).add(f"{place.module}.{place.name}")
    return used


@cache
def uses_in(node: ast.AST) -> set[str]:
    """Return the keys that code uses, and the sections that it uses as a whole."""
    sections, found = dict(sections_held(node)), set[str]()
    for chain in chains_in(node):
        start = next((end for end in range(len(chain), 0, -1) if ".".join(chain[:end]) in sections), 0)
        if start:
            found |= keys_of(sections[".".join(chain[:start])], chain[start:])
        elif (place := next((n for n, part in enumerate(chain) if part in HOLDERS), None)) is not None:
            found |= uses_of_config(chain[place + 1 :])
    return found


def uses_of_config(chain: tuple[str, ...]) -> set[str]:
    """Return what the attributes after `config` use: a key, a section, or all that a method uses."""
    if not chain:
        return set()
    name, *rest = chain
    if name in SECTIONS:
        return keys_of(name, tuple(rest))
    if name == "models":
        return {"models"}
    methods = definitions_of(CONFIG)["BaseConfig"]
    method = next((part for part in ast.walk(methods) if isinstance(part, ast.FunctionDef) and part.name == name), None)
    return (
        {key for part in chains_in(method) if part[0] == "self" for key in uses_of_config(part[1:])}
        if method
        else set()
    )


def keys_of(section: str, rest: tuple[str, ...]) -> set[str]:
    """Return the key that attributes after a section name; the section for other attributes or none."""
    model: object = SECTIONS[section]
    assert isinstance(model, type) and issubclass(model, BaseModel)
    info = model.model_fields.get(rest[0]) if rest else None
    return {section if info is None else f"{section}.{info.alias or rest[0]}"}


def sections_held(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the variables, parameters and fields that hold a section, with its name."""
    for part in ast.walk(node):
        if isinstance(part, ast.arg | ast.AnnAssign) and part.annotation is not None:
            section = SECTION_OF.get(ast.unparse(part.annotation).strip("'\""))
            name = part.arg if isinstance(part, ast.arg) else ast.unparse(part.target)
            if section is not None:
                yield from ((place, section) for place in (name, f"self.{name}", f"self._{name}"))
        elif isinstance(part, ast.Assign):
            for target, value in pairs_of(part):
                chain = chain_of(value)
                if len(chain) > 1 and chain[-2] in HOLDERS and chain[-1] in SECTIONS:
                    yield ast.unparse(target), chain[-1]


def pairs_of(node: ast.Assign) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield each target of an assignment with its value, also of several at once."""
    target = node.targets[0]
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        yield from zip(target.elts, node.value.elts, strict=False)
    else:
        yield target, node.value


def chains_in(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield the chains of names in code that are part of no longer chain."""
    inner = {id(part.value) for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute | ast.Name) and id(part) not in inner and (chain := chain_of(part)):
            yield chain


def chain_of(node: ast.AST) -> tuple[str, ...]:
    """Return the names of a chain such as `run.config.split`; empty if it does not begin with a name."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (before := chain_of(node.value)):
        return (*before, node.attr)
    return ()
