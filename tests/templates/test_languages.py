import re
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from envoi.core.kind import Plain
from envoi.errors import TemplateError
from envoi.templates.catalogue import SHIPPED_FOLDER, Catalogue
from envoi.templates.languages import load_language, read_locale
from envoi.templates.render import Templates
from tests.templates.samples import context_of

ROOT = Path(__file__).parent.parent.parent
LOCALE = SHIPPED_FOLDER / "locale"
SEVEN: dict[str, Plain] = {"line": "7", "text": "7", "integer": 7}
HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
FRENCH = HEADER + (
    'msgid "New user %(username)s registered"\n'
    'msgstr "Nouvel utilisateur : %(username)s"\n\n'
    'msgid "You receive this because you are an administrator."\n'
    'msgstr "Vous êtes administrateur."\n'
)


def catalog_of(path: Path):
    with path.open("rb") as file:
        return {(m.context, m.id): m for m in read_po(file) if m.id}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """Every word of the shipped templates, as Babel finds them."""
    pot = tmp_path_factory.mktemp("pot") / "envoi.pot"
    command = ["-q", "extract", "-F", "src/envoi/templates/babel.cfg", "-o", str(pot)]
    source = "import sys; from babel.messages.frontend import main; sys.exit(main())"
    subprocess.run(
        [sys.executable, "-c", source, *command, str(SHIPPED_FOLDER)], check=True, cwd=ROOT
    )
    return catalog_of(pot)


def test_the_pot_file_holds_every_word_of_the_templates(extracted):
    assert set(catalog_of(LOCALE / "envoi.pot")) == set(extracted)


def test_german_is_complete(extracted):
    german = catalog_of(LOCALE / "de" / "LC_MESSAGES" / "envoi.po")

    assert set(german) == set(extracted)
    assert [key for key, message in german.items() if not message.string or message.fuzzy] == []


def test_german_keeps_every_placeholder():
    with (LOCALE / "de" / "LC_MESSAGES" / "envoi.po").open("rb") as file:
        catalog = read_po(file)

    assert [(m.id, problems) for m, problems in catalog.check() if problems] == []


def test_no_word_of_a_template_stands_outside_the_catalogue(write):
    """Render with a language whose every phrase is a mark: no English may be left."""
    phrases = catalog_of(LOCALE / "envoi.pot").values()
    marks = {m.id: "¤" + "".join(f"%({name})s" for name in _names(m.id)) for m in phrases}
    entries = [f"msgid {_quoted(id_)}\nmsgstr {_quoted(mark)}\n" for id_, mark in marks.items()]
    po = HEADER + "\n".join(entries)
    templates = Templates(Catalogue.shipped([write({"locale/eo/LC_MESSAGES/envoi.po": po})]))
    catalogue = Catalogue.shipped()

    for kind in catalogue.kinds().values():
        facts = {name: SEVEN.get(fact.type) for name, fact in kind.facts.items()}
        data = context_of(catalogue, kind.name, facts)
        data = {**data, "actor": {"name": "7", "login": "7"}}
        text = templates.render(kind.name, "eo", "UTC", data).text
        words = [word for word in text.split() if word.isalpha()]
        assert words == [], kind.name


def _names(text: str) -> list[str]:
    return re.findall(r"%\((\w+)\)s", text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_a_third_language_is_one_po_file(write):
    folder = write({"locale/fr/LC_MESSAGES/envoi.po": FRENCH})
    templates = Templates(Catalogue.shipped([folder]))

    words = templates.prove("registration", "fr_CA")

    assert words.subject == "Nouvel utilisateur : eve"
    assert '<html lang="fr-CA" dir="ltr">' in words.html
    assert "New user registration" in words.text  # what is not translated stays English


def test_an_applications_translations_win_over_the_shipped_ones(write):
    po = HEADER + 'msgid "Server started"\nmsgstr "Läuft wieder"\n'
    templates = Templates(Catalogue.shipped([write({"locale/de/LC_MESSAGES/ours.po": po})]))

    assert templates.prove("server_up", "de").subject == "Läuft wieder"
    assert templates.prove("server_down", "de").subject == "Server wird heruntergefahren"


def test_a_territorys_words_go_before_its_languages(write):
    po = HEADER + 'msgid "Server started"\nmsgstr "Server rennt"\n'
    templates = Templates(Catalogue.shipped([write({"locale/de_AT/LC_MESSAGES/x.po": po})]))

    assert templates.prove("server_up", "de_AT").subject == "Server rennt"
    assert templates.prove("server_up", "de").subject == "Server gestartet"
    assert templates.prove("server_up", "de_CH").subject == "Server gestartet"


@pytest.mark.parametrize(
    "locale", ["pt_BR", "", "klingon", "../../etc", "de/../../x", "x" * 5000, "\x00", "zz_ZZ"]
)
def test_a_language_that_nobody_wrote_is_english_dates_included(shipped, locale):
    words = shipped.prove("server_up", locale)

    assert words.subject == "Server started"
    assert "Mar 1, 2026, 5:04" in words.text


@pytest.mark.parametrize(
    "name", ["de", "de-DE", "de_DE", "de_DE.UTF-8", "de_AT@euro", "DE", "de-Latn-DE"]
)
def test_german_is_found_by_all_its_names(shipped, name):
    assert shipped.prove("server_up", name).subject == "Server gestartet"


def test_the_most_special_file_of_the_newest_folder_is_taken(write):
    files = {
        "registration/subject.txt": "en",
        "registration/de/subject.txt": "de",
        "registration/de_AT/subject.txt": "at",
    }
    templates = Templates(Catalogue.shipped([write(files)]))

    said = {
        name: templates.prove("registration", name).subject for name in ("de_AT", "de_CH", "fr")
    }

    assert said == {"de_AT": "at", "de_CH": "de", "fr": "en"}


def test_a_language_of_files_alone_has_its_own_dates(write):
    templates = Templates(
        Catalogue.shipped([write({"server_up/fr/text.txt": "Démarré : {{ started_at | moment }}"})])
    )

    assert templates.prove("server_up", "fr").text == "Démarré : 1 mars 2026, 05:04 UTC\n"


def test_right_to_left_is_told_to_the_reader(write):
    po = HEADER + 'msgid "Server started"\nmsgstr "בדיקה"\n'
    templates = Templates(Catalogue.shipped([write({"locale/he/LC_MESSAGES/x.po": po})]))

    assert '<html lang="he" dir="rtl">' in templates.prove("server_up", "he").html


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'msgid "x\n'], ids=["bytes", "open"])
def test_a_catalogue_that_cannot_be_read_fails_the_check_and_no_mail(write, content):
    folder = write({"locale/de/LC_MESSAGES/bad.po": ""})
    (folder / "locale/de/LC_MESSAGES/bad.po").write_bytes(content)
    catalogue = Catalogue.shipped([folder])
    templates = Templates(catalogue)

    words = templates.render("server_up", "de", "UTC", context_of(catalogue, "server_up"))

    assert words.subject == "Server gestartet"
    with pytest.raises(TemplateError, match=r"bad\.po: expected a \.po file"):
        templates.prove("server_up", "de")


def test_a_translation_that_lost_its_placeholder_is_left_in_english(write):
    po = HEADER + '#, python-format\nmsgid "New user %(username)s"\nmsgstr "Neu: %(name)s"\n'
    catalogue = Catalogue.shipped([write({"locale/fr/LC_MESSAGES/x.po": po})])
    templates = Templates(catalogue)

    words = templates.render("new_user", "fr", "UTC", context_of(catalogue, "new_user"))

    assert words.subject == "New user eve"
    with pytest.raises(TemplateError, match=r"x\.po:\d+: .*placeholder"):
        templates.prove("new_user", "fr")


def test_fuzzy_translations_are_not_used(write):
    po = HEADER + '#, fuzzy\nmsgid "Server started"\nmsgstr "Peut-être"\n'
    templates = Templates(Catalogue.shipped([write({"locale/fr/LC_MESSAGES/x.po": po})]))

    assert templates.prove("server_up", "fr").subject == "Server started"


def test_plurals_follow_their_language(write):
    po = (
        HEADER.replace('utf-8\\n"', 'utf-8\\n"\n"Plural-Forms: nplurals=2; plural=(n > 1);\\n"')
        + 'msgid "%(num)d day"\nmsgid_plural "%(num)d days"\n'
        + 'msgstr[0] "%(num)d jour"\nmsgstr[1] "%(num)d jours"\n'
    )
    language = load_language(
        read_locale("fr"), (write({"locale/fr/LC_MESSAGES/x.po": po}) / "locale",)
    )

    said = [language.translations.ngettext("%(num)d day", "%(num)d days", n) for n in (0, 1, 2)]

    assert said == ["%(num)d jour", "%(num)d jour", "%(num)d jours"]
