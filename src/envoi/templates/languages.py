"""This room chooses the language: a person's locale, its translations, and what stands behind it.

Templates are written in English. A language is a `.po` file in the `locale` folder of any
registered folder: `locale/fr/LC_MESSAGES/envoi.po`, and French is spoken. For `de_AT` the
translations are `de_AT`, then `de`, then the English of the template.
"""

import gettext
import io
from dataclasses import dataclass
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po

SOURCE_LANGUAGE = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What one locale means for words.

    Args:
        locale: For dates and direction; English where the language is not spoken.
        chain: Names of locales from the most special on, e.g. `("de_AT", "de")`.
        translations: gettext's answers.
        problems: What in its files could not be used, with file and line: mail goes without it.
    """

    locale: Locale
    chain: tuple[str, ...]
    translations: gettext.NullTranslations
    problems: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """The name for HTML's `lang`, e.g. `de-AT`."""
        return str(self.locale).replace("_", "-")

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return self.locale.text_direction


def read_locale(name: str) -> Locale:
    """Return the locale of a POSIX or BCP 47 name; English for one that nobody knows.

    >>> str(read_locale("de-AT")), str(read_locale("pt_BR.UTF-8")), str(read_locale("../x"))
    ('de_AT', 'pt_BR', 'en')
    """
    plain = name.strip().replace("-", "_").partition(".")[0].partition("@")[0]
    try:
        # Babel checks the name before it opens a file by it.
        return Locale.parse(plain)
    except (ValueError, TypeError, UnknownLocaleError):
        return Locale(SOURCE_LANGUAGE)


def chain_of(locale: Locale) -> tuple[str, ...]:
    """Return the names under which words for the locale may be found, most special first."""
    territory = f"{locale.language}_{locale.territory}" if locale.territory else ""
    # A script (zh_Hant_TW) is left out second, as people name their files without it.
    names = (str(locale), territory, locale.language)
    return tuple(dict.fromkeys(name for name in names if name))


def load_language(
    locale: Locale, folders: tuple[Path, ...], spoken: frozenset[str] = frozenset()
) -> Language:
    """Return the language of a locale, with the translations of all folders in their order.

    Args:
        locale: Whose words are wanted.
        folders: `locale` folders, the winning one first.
        spoken: Names of locales for which templates have files of their own.
    """
    chain = chain_of(locale)
    files = [
        path
        for name in chain
        for folder in folders
        for path in sorted((folder / name / "LC_MESSAGES").glob("*.po"))
    ]
    translations = gettext.NullTranslations()
    # The last fallback is asked last, so the chain is built from its end.
    problems: list[str] = []
    for path in reversed(files):
        loaded, found = _load(path)
        problems += found
        loaded.add_fallback(translations)
        translations = loaded
    # Dates of one language among words of another read like a mistake.
    languages = {SOURCE_LANGUAGE, *(name.partition("_")[0] for name in spoken)}
    is_spoken = bool(files) or locale.language in languages
    return Language(
        locale=locale if is_spoken else Locale(SOURCE_LANGUAGE),
        chain=chain,
        translations=translations,
        problems=tuple(problems),
    )


def _load(path: Path) -> tuple[gettext.NullTranslations, list[str]]:
    try:
        with path.open("rb") as file:
            catalog = read_po(file, locale=path.parent.parent.name, abort_invalid=True)
    except (OSError, ValueError, PoFileError) as err:
        return gettext.NullTranslations(), [f"{path}: expected a .po file in UTF-8: {err}"]
    problems: list[str] = []
    for message in list(catalog):
        # A placeholder that the English does not have would fail when the mail is written.
        faults = message.check(catalog) if message.id else []
        if faults:
            problems.append(f"{path}:{message.lineno}: {faults[0]}")
            catalog.delete(message.id, context=message.context)
    # Compiled at load, so that dropping in a .po file is all that a translator does.
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled), problems
