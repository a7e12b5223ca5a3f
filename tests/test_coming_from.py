"""The pages "Coming from ..." answer each sentence of a document with tests that are there."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent
SECTION = "## The document, sentence by sentence"
HEAD = "| it says | you "
TEST = re.compile(r"`([\w/]+\.py(?:::\w+)?)`")

# The document's sentences and commands, counted by hand.
SENTENCES = {"kallithea": 17, "omero": 27}

# What OMERO's document has its readers type, with our name in the place of its program.
COMMANDS = (
    "envoi config set omero.mail.config true",
    "envoi config set omero.mail.host smtp.university.example",
    "envoi config set omero.mail.username USER",
    "envoi config set omero.mail.password PASS",
    "envoi obj update Experimenter:0 email=root@university.example",
    "envoi config set omero.mail.bean myMailImplementation",
)


class Row(NamedTuple):
    """A sentence of the document, and our answer."""

    page: str
    says: str
    typed: str
    differs: str
    shown: str


def rows_of(page: str) -> list[Row]:
    text = (TESTS.parent / "docs" / "how-to" / f"coming-from-{page}.md").read_text("utf-8")
    lines = [line for line in text.partition(SECTION)[2].splitlines() if line.startswith("| ")]
    answers = [line for line in lines if not line.startswith((HEAD, "| ---"))]
    return [Row(page, *line.strip("| ").split(" | ")) for line in answers]


ROWS = [row for page in SENTENCES for row in rows_of(page)]
NAMED = sorted({name for row in ROWS for name in TEST.findall(row.shown)})


@cache
def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_a_page_names_is_there(name):
    file, _, test = name.partition("::")

    assert (TESTS / file).is_file()
    assert not test or test in functions_of(TESTS / file)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.page}: {row.says[:48]}")
def test_every_sentence_of_a_document_is_answered_and_names_its_tests(row):
    assert all(row)
    assert TEST.sub("", row.shown).strip(", ") == ""


@pytest.mark.parametrize(("page", "count"), SENTENCES.items())
def test_a_page_has_a_row_for_every_sentence(page, count):
    assert len(rows_of(page)) == count


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_answers_every_command_of_omeros_document(command):
    assert f"`{command}`" in " ".join(row.typed for row in rows_of("omero"))
