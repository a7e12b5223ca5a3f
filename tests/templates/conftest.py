"""What the tests of this room share: folders of kinds."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from envoi.templates.catalogue import Catalogue
from envoi.templates.render import Templates
from tests.templates.kallithea import INI, Site


@pytest.fixture
def shipped() -> Templates:
    return Templates(Catalogue.shipped())


@pytest.fixture
def write(tmp_path) -> Callable[[Mapping[str, str]], Path]:
    """Write a folder of kinds: file contents by relative path."""

    def write_files(files: Mapping[str, str]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
        return tmp_path

    return write_files


@pytest.fixture
def note(write) -> Callable[..., Templates]:
    """Templates with one kind `note` whose parts the test gives; it has one fact, `title`."""

    def with_parts(**parts: str) -> Templates:
        names = {"subject": "subject.txt", "text": "text.txt", "html": "html.html"}
        files = {f"note/{names[part]}": content for part, content in parts.items()}
        files.setdefault("note/subject.txt", "Note")
        kind = '[facts]\ntitle = "line"\n[sample.facts]\ntitle = "A note"\n'
        return Templates(Catalogue.shipped([write({"note/kind.toml": kind, **files})]))

    return with_parts


@pytest.fixture
def site(tmp_path) -> Callable[..., Site]:
    """A site with Kallithea's ini, some of its keys changed."""

    def with_keys(**keys: str) -> Site:
        return Site(tmp_path, {**INI, **keys})

    return with_keys
