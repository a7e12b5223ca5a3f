"""The page "Coming from Kallithea" names the tests that show its sentences; they are there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "how-to" / "coming-from-kallithea.md"
SECTION = "## The document, sentence by sentence"
ROWS = [
    line
    for line in PAGE.read_text("utf-8").partition(SECTION)[2].splitlines()
    if line.startswith("| ") and not line.startswith(("| it says", "| ---"))
]
NAMED = sorted({name for row in ROWS for name in re.findall(r"`([\w/]+\.py(?:::\w+)?)`", row)})


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_the_page_names_is_there(name):
    file, _, test = name.partition("::")

    assert (TESTS / file).is_file()
    assert not test or test in functions_of(TESTS / file)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:50])
def test_every_sentence_of_the_document_names_its_tests(row):
    says, write, differs, shown = row.strip("| ").split(" | ")

    assert says
    assert write
    assert differs
    assert re.search(r"`[\w/]+\.py(::test_\w+)?`", shown)


def test_the_page_has_a_row_for_every_sentence():
    assert len(ROWS) == 17
