"""The list of mutations stays true to the code: `make mutants` tries them."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.mutants import ROOT, Mutation, parts

ALL = [
    pytest.param(each, id=f"{name}-{number}")
    for name, some in parts().items()
    for number, each in enumerate(some)
]


@pytest.mark.parametrize("mutation", ALL)
def test_a_mutation_changes_one_place(mutation: Mutation) -> None:
    assert text(mutation.path).count(mutation.old) == 1, mutation.old
    assert mutation.new != mutation.old


@pytest.mark.slow
@pytest.mark.parametrize("mutation", ALL)
def test_a_mutation_makes_other_code(mutation: Mutation) -> None:
    if mutation.path.endswith(".py"):
        mutated = text(mutation.path).replace(mutation.old, mutation.new)
        assert ast.dump(ast.parse(mutated)) != dumped(mutation.path)


@pytest.mark.parametrize("mutation", ALL)
def test_the_tests_of_a_mutation_exist(mutation: Mutation) -> None:
    for test in mutation.tests.split():
        file, *names = test.partition("[")[0].split("::")
        assert (ROOT / file).is_file(), test
        assert set(names) <= defined(file), test


@cache
def text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@cache
def dumped(file: str) -> str:
    return ast.dump(ast.parse(text(file)))


@cache
def defined(file: str) -> set[str]:
    """Return the names of the tests and classes of a file."""
    nodes = ast.walk(ast.parse(text(file)))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in nodes if isinstance(node, kinds)}
