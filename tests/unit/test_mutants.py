"""The list of mutations stays true to the code: `make mutants` tries them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.mutants import ROOT, Mutation, parts

ALL = [
    pytest.param(each, id=f"{name}-{number}")
    for name, some in parts().items()
    for number, each in enumerate(some)
]


@pytest.mark.parametrize("mutation", ALL)
def test_a_mutation_changes_one_place_into_other_code(mutation: Mutation) -> None:
    source = (ROOT / mutation.path).read_text(encoding="utf-8")
    assert source.count(mutation.old) == 1, mutation.old
    mutated = source.replace(mutation.old, mutation.new)
    if mutation.path.endswith(".py"):
        assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))
    assert mutated != source


@pytest.mark.parametrize("mutation", ALL)
def test_the_tests_of_a_mutation_exist(mutation: Mutation) -> None:
    for test in mutation.tests.split():
        file, *names = test.partition("[")[0].split("::")
        assert (ROOT / file).is_file(), test
        assert set(names) <= set(defined(file)), test


def defined(file: str) -> Iterator[str]:
    """Yield the names of the tests and classes of a file."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
