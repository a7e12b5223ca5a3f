"""The page "Coming from OMERO" and the table of its properties say the same."""

import re
from pathlib import Path

from envoi.settings.omero_keys import SEEDS
from envoi.settings.omero_values import as_text

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "coming-from-omero.md"
FENCE = re.compile(r"(<!-- properties -->\n).*?(<!-- end of properties -->)", re.DOTALL)

HEAD = """\
| property | in `envoi.toml` | OMERO's default | what to know |
| --- | --- | --- | --- |
"""


def filled(page: str) -> str:
    """The page with a row for each property, as the table in code has it."""
    rows = []
    for seed in SEEDS:
        target = f"`{seed.target}`" if seed.target else "nothing"
        # The list of middleware is long, and only one entry of it is about mail.
        default = f"`{as_text(seed.default)}`" if seed.default not in ("", ()) else "none"
        default = "its first entry" if isinstance(seed.default, tuple) and seed.default else default
        words = seed.became or "the same"
        rows.append(f"| `{seed.name}` | {target} | {default} | {words} |\n")
    return FENCE.sub(lambda found: f"{found[1]}\n{HEAD}{''.join(rows)}\n{found[2]}", page)


def test_the_page_has_a_row_for_each_property():
    page = PAGE.read_text("utf-8")

    assert page == filled(page)
