"""Everything that README and docs state and a program can try: commands, code, keys, links."""

import logging
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

import envoi
from envoi import journal
from envoi.cli.program import program
from envoi.core.condition import Operator
from envoi.core.delivery import TRANSITIONS
from envoi.core.message import Message
from envoi.core.routing import SelectorType
from envoi.core.rules import SENDER_KEYS, merged, read_senders
from envoi.settings import key_of, set_keys
from envoi.settings.table import ROWS
from envoi.templates.catalogue import Catalogue
from tests import pages
from tests.desk import ROOT, open_desk

DOCS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"))
    if not path.name.startswith(".")
)
OURS = [
    ROOT / name
    for name in ("README.md", "ARCHITECTURE.md", "docs/README.md", "docs/explanation/why.md",
                 "docs/explanation/reliability.md", "docs/how-to/embed.md",
                 "docs/how-to/relay.md", "docs/how-to/operate.md")
]  # fmt: skip
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[a-z]+)(?:: (?P<detail>.+?))? -->\n)?"
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
SECTIONS = {row.key.partition(".")[0] for row in ROWS}
KEYS = {row.key for row in ROWS}


class Block(NamedTuple):
    """A piece of code in a page."""

    page: Path
    line: int
    mark: str
    detail: str
    language: str
    code: str

    @property
    def id(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        mark, detail = found["mark"] or "", found["detail"] or ""
        yield Block(page, line, mark, detail, found["language"], found["code"])


BLOCKS = [block for page in DOCS for block in blocks_of(page)]


def cases(blocks: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", blocks, ids=[block.id for block in blocks])


def pages_named(paths: list[Path]) -> pytest.MarkDecorator:
    ids = [path.relative_to(ROOT).as_posix() for path in paths]
    return pytest.mark.parametrize("page", paths, ids=ids)


# Commands


def commands_of(block: Block) -> Iterator[str]:
    """Every `envoi …` line of a block, whatever is piped into or out of it."""
    for line in block.code.splitlines():
        for part in re.split(r"[|>]|  +", line.partition(" #")[0]):  # a gap begins a remark
            if re.match(r"(\.venv/bin/)?envoi\s", part.strip()):
                yield part.strip()


COMMANDS = [
    (block.id, command)
    for block in BLOCKS
    if block.language in {"sh", "console", ""}
    for command in commands_of(block)
]
SAID = [
    (page.relative_to(ROOT).as_posix(), command)
    for page in DOCS
    for command in re.findall(r"`(envoi [^`\n]+)`", BLOCK.sub("", page.read_text("utf-8")))
]


def parse(command: str) -> str:
    """Read a command line as `envoi` would, without running it; return what does not fit."""
    node = typer.main.get_command(program())
    words, parent, name = shlex.split(command)[1:], None, "envoi"
    try:
        while words != ["--help"]:
            if isinstance(node, TyperGroup) and not words:
                return ""  # shows what there is
            context = node.make_context(name, words, parent=parent)
            if not isinstance(node, TyperGroup):
                return ""
            rest = [*context._protected_args, *context.args]
            # An unknown command ends here, with the words that a person would see.
            found, command_found, words = node.resolve_command(context, rest)
            assert found is not None
            assert command_found is not None
            name, node, parent = found, command_found, context
    except TyperException as err:
        return err.format_message()
    return ""


def test_the_parser_of_this_test_sees_a_wrong_command_and_a_wrong_option():
    assert parse("envoi outbox list --state failed --json") == ""
    assert parse("envoi --config envoi.toml check --connect") == ""
    assert "outbx" in parse("envoi outbx list")
    assert "lst" in parse("envoi outbox lst")
    assert "--stat" in parse("envoi outbox list --stat failed")
    assert "Missing" in parse("envoi outbox show")


@pytest.mark.parametrize(("place", "command"), COMMANDS)
def test_a_command_in_a_block_can_be_typed(place, command):
    assert parse(command) == "", place


@pytest.mark.parametrize(("place", "command"), SAID)
def test_a_command_in_a_sentence_can_be_typed(place, command):
    # A sentence names a command without all that it needs, or with a word to be filled in.
    complaint = parse(command.replace("COMMAND", "outbox"))

    assert not complaint or "Missing" in complaint, place


# Code


@pytest.fixture
def desk(tmp_path, sqlite_template):
    with open_desk(tmp_path, sqlite_template) as desk:
        yield desk


@cases([block for block in BLOCKS if block.language == "python"])
def test_python_in_a_page_compiles(block):
    compile(block.code, block.id, "exec")


@cases(
    [b for b in BLOCKS if b.mark == "run" and b.language == "python" and b.page.name != "README.md"]
)  # one line of four conditions
def test_python_in_a_page_runs_and_sends_what_it_says(block, desk):
    is_asgi = "async def application" in block.code
    desk.run("-c", block.code + (ASK_ASGI if is_asgi else ""))

    assert len(desk.deliver()) == int((block.detail or "0").split()[0])


ASK_ASGI = """
async def ask():
    said, asked = [], iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive():
        if said:
            await application({"type": "http"}, None, send)
        return {"type": next(asked)}

    async def send(message):
        said.append(message.get("status", message["type"]))

    await application({"type": "lifespan"}, receive, send)
    assert said[:2] == ["lifespan.startup.complete", 201], said


asyncio.run(ask())
"""


def test_readme_from_its_first_command_to_its_last(tmp_path):
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7")
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    printed = []
    for block in (block for block in blocks_of(ROOT / "README.md") if block.mark == "run"):
        program = ["bash", "-e", "-c"] if block.language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*program, block.code],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, block.code + done.stdout + done.stderr
        printed.append(done.stdout)

    caught = [path.read_text("utf-8") for path in (tmp_path / "mail").glob("*.eml")]
    assert "stored 1\n" in printed
    assert len(caught) == 1
    assert "Subject: The wiki moves on Sunday" in caught[0]
    assert any("is named by the event as recipients" in text for text in printed)


def test_first_program_is_the_one_in_the_readme():
    (block,) = [b for b in BLOCKS if b.detail == "examples/first_program.py"]
    program = (ROOT / block.detail).read_text("utf-8")

    assert program.partition("\n\n")[2] == block.code


def test_tests_in_a_page_pass(tmp_path):
    for block in (block for block in BLOCKS if block.mark == "test"):
        name, _, code = block.code.partition("\n")
        (tmp_path / name.removeprefix("# ")).write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "1 passed" in done.stdout, done.stdout + done.stderr


# Settings


@cases([block for block in BLOCKS if block.language == "toml" and block.page in OURS])
def test_settings_in_a_page_exist(block):
    tables = tomllib.loads(block.code)

    assert all(key_of(name, tables) for name in set_keys(tables))


@pages_named(DOCS)
def test_a_key_in_a_sentence_exists(page):
    said = re.findall(r"`(\w+\.\w+)`", page.read_text("utf-8"))
    named = {key for key in said if key.partition(".")[0] in SECTIONS and key not in FILES}
    known = KEYS | {f"{key}_file" for key in KEYS} | {fact.value for fact in journal.Fact}

    assert named <= known


def test_senders_page_names_every_key_operator_and_selector_and_its_example_fits():
    page = ROOT / "docs" / "reference" / "senders.md"
    example = next(block for block in BLOCKS if block.page == page and block.language == "toml")
    rows = re.findall(r"^\| `([\w@.]+)", page.read_text("utf-8"), re.MULTILINE)
    words = {*SENDER_KEYS, *Operator, *SelectorType} - {SelectorType.ADDRESS}
    kinds = Catalogue.shipped().kinds()
    shipped = Catalogue.shipped().sender_tables()
    senders, problems = read_senders(
        merged((shipped, tomllib.loads(example.code)["senders"])), kinds
    )

    assert set(rows) == words | {"ann@example.org"}
    assert problems == ()
    assert "guessing" in {sender.name for sender in senders}


@pages_named(DOCS)
def test_a_path_of_the_source_in_a_sentence_is_there(page):
    said = re.findall(r"`(src/[\w/.-]+)`", page.read_text("utf-8"))

    assert [path for path in said if "LANG" not in path and not (ROOT / path).exists()] == []


# Names of files that look like a section with a key.
FILES = {"outbox.put", "templates.toml"}


# Pages made from code


def test_picture_of_the_states_is_the_table():
    text = pages.ARCHITECTURE.read_text("utf-8")
    drawn = {
        (before, move, after)
        for before, after, moves in re.findall(r"^    (\w+) --> (\w+): (.+)$", text, re.MULTILINE)
        for move in moves.split(", ")
    }

    assert drawn == {(before, move, after) for (before, move), after in TRANSITIONS.items()}
    assert text == pages.architecture_page()


def test_python_reference_names_what_can_be_imported():
    text = pages.PYTHON.read_text("utf-8")

    assert set(re.findall(r"^## `(\w+)`$", text, re.MULTILINE)) == set(envoi.__all__)
    assert text == pages.python_page()


def test_journal_reference_is_the_journals_table():
    text = (ROOT / "docs" / "reference" / "journal.md").read_text("utf-8")
    told = re.findall(r"^\| `([\w.]+)` \| (\w+) \| (.+?) \| .+ \|$", text, re.MULTILINE)
    table = {
        fact.value: (logging.getLevelName(level), words)
        for fact, (level, words) in journal._TABLE.items()
    }

    assert {fact: (level, words) for fact, level, words in told} == table
    assert len(told) == len(table)


def test_glossary_has_every_word_once_in_order():
    text = (ROOT / "docs" / "reference" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", text, re.MULTILINE)

    assert words == sorted(set(words))
    assert {"delivery", "message", "claim", "verdict", "outbox", "sender"} <= set(words)
    assert Message.__name__.lower() in words


# Form


def anchors_of(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pages_named(DOCS)
def test_every_link_leads_somewhere(page):
    lost = []
    for found in LINK.finditer(CODE.sub("", page.read_text("utf-8"))):
        place, _, anchor = found["target"].partition("#")
        if re.match(r"[a-z]+:", found["target"]):
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            lost.append(found["target"])

    assert lost == []


@pages_named(OURS)
def test_one_sentence_per_line(page):
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    lines = [line for line in prose.splitlines() if not re.match(r"[|#-]|\d+\.|<!--", line)]
    crowded = [line for line in lines if re.search(r"\w{3}[.!?] [A-Z]", line)]

    assert crowded == []


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / found["target"].partition("#")[0]).resolve()
        for found in LINK.finditer(index.read_text("utf-8"))
    }
    own = [page for page in DOCS if page.is_relative_to(index.parent)]
    missing = [p.name for p in own if p not in linked | {index} and p.parent.name != "decisions"]

    assert missing == []
