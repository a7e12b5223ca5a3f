"""This room writes `docs/reference/settings.md`; a test holds the file equal to it.

After a change of the table:
`python -c "from envoi.settings.reference import reference; print(reference(), end='')"`.
"""

from envoi.settings.listing import told
from envoi.settings.secret import Secret
from envoi.settings.table import SECTIONS, Row, rows_of

# One sentence per line; a backslash joins what is one line there.
_HEAD = """\
# Settings

Envoi reads one file: the one given on the command line, else the one that `ENVOI_CONFIG` names, \
else `envoi.toml` in the working directory, else none.
A file whose name ends in `.ini` is read as a Kallithea's, by Kallithea's names: \
[coming from Kallithea](../how-to/coming-from-kallithea.md).
OMERO's properties about mail stand in `envoi.toml` by their own names, below `[omero]`: \
[coming from OMERO](../how-to/coming-from-omero.md).
`envoi config set KEY VALUE` sets a key, and `envoi config get KEY` prints what is in force.
Every key is also a variable, `ENVOI_SECTION__KEY` in any case, as in `ENVOI_SMTP__HOST`; \
lists stand in it comma-separated or as JSON.
The environment wins over the file, and the file over the default.
An empty text means "not set".
Relative paths, an SQLite file's included, start at the settings file's folder.
The keys marked *secret* are masked wherever settings are shown.
They are also read from a file: `KEY_file` in TOML, `ENVOI_SECTION__KEY_FILE` in the environment; \
line ends at its end are dropped.
A secret and its file given in the same place are refused.
Everything that does not fit is told at once, unknown keys and variables included; \
nothing starts until it fits.

This page is written from the table in `src/envoi/settings/table.py`.
"""
_TITLES = {
    "application": "`[application]`\n\n"
    "Plain keys belong to the application `main`. Every further application has a table "
    "`[application.NAME]` with the same keys, in the environment "
    "`ENVOI_APPLICATION__NAME__KEY`.",
    "smtp": "`[smtp]`\n\n"
    "The relay `default`. Every further relay has a table `[relays.NAME]` with the same keys, in "
    "the environment `ENVOI_RELAYS__NAME__KEY`.",
    "transport": "`[transport]`\n\n"
    "A key for each relay that is not spoken to by SMTP, called like the relay.",
}
_SENDERS = """\
## `[senders.NAME]`

A rule of who is told of what; its keys: [senders](senders.md).
`ENVOI_SENDERS__NAME__ENABLED` turns one on or off.
"""


def reference() -> str:
    """Return the reference of all settings as Markdown."""
    parts = [_HEAD]
    for section in SECTIONS:
        parts.append(f"## {_TITLES.get(section, f'`[{section}]`')}\n")
        parts += [_entry(row) for row in rows_of(section).values()]
    return "\n".join([*parts, _SENDERS])


def _entry(row: Row) -> str:
    default = row.otherwise or ("none" if _is_blank(row.default) else f"`{told(row.default)}`")
    secret = ", *secret*" if row.is_secret else ""
    sentences = row.doc.replace(". ", ".\n")
    holds = f"Holds {row.reader.expected}; default: {default}."
    return f"### `{row.key}`{secret}\n\n{sentences}\n\n{holds}\n"


def _is_blank(default: object) -> bool:
    return default is None or default in ((), "") or default == Secret()
