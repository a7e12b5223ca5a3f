import threading

import pytest

from envoi.core.routing import Because, Why
from envoi.errors import TemplateError
from envoi.templates.catalogue import SHIPPED_FOLDER, Catalogue
from envoi.templates.render import PERSONAL_MARK, Templates
from tests.templates.samples import BILLING, context_of

PLAIN = {"title": "A note", "application": {"name": "App", "base_url": "https://x.test"}}


def render(templates: Templates, **data: object):
    return templates.render("note", "en", "UTC", {**PLAIN, **data})


def test_text_alone_makes_a_text_mail(note):
    words = render(note(text="Hello {{ title }}"))

    assert (words.subject, words.text, words.html) == ("Note", "Hello A note\n", "")


def test_html_alone_makes_a_text_part_too(note):
    html = "<html><head><title>x</title></head><body><p>Hello<br>you</p><p><a href='/1'>A</a></p>"

    words = render(note(html=html))

    assert words.text == "Hello\nyou\n\nA </1>\n"


def test_a_mail_without_words_is_refused(note):
    with pytest.raises(TemplateError, match="got an empty mail"):
        render(note(text="{% if title == 'x' %}x{% endif %}", html=" "))


def test_a_subject_is_one_line_whatever_its_template_says(note):
    assert render(note(subject="One\n two\n", text="x")).subject == "One two"


def test_moments_are_those_of_the_reader(note):
    templates = note(text="{{ at | moment }}")
    at = 1_767_225_600_000  # 2026-01-01T00:00:00Z

    said = {
        (locale, zone): templates.render("note", locale, zone, {"at": at}).text.strip()
        for locale, zone in [("en", "UTC"), ("de", "Europe/Berlin"), ("en_GB", "America/New_York")]
    }

    assert said == {
        ("en", "UTC"): "Jan 1, 2026, 12:00\u202fAM UTC",
        ("de", "Europe/Berlin"): "01.01.2026, 01:00 CET",
        ("en_GB", "America/New_York"): "31 Dec 2025, 19:00 EST",
    }


@pytest.mark.parametrize("zone", ["Mars/Base", "../../etc/passwd", "", "x" * 5000, "/etc/passwd"])
def test_a_zone_that_nobody_knows_is_utc(note, zone):
    assert note(text="{{ 0 | moment }}").render("note", "de", zone, {}).text.endswith(" UTC\n")


def test_a_broken_template_names_file_and_line(note):
    with pytest.raises(TemplateError, match=r"note/text\.txt:2: .*'nope' is undefined"):
        render(note(text="one\n{{ nope }}"))


def test_a_template_that_does_not_parse_names_file_and_line(note):
    with pytest.raises(TemplateError, match=r"note/html\.html:2: "):
        render(note(text="x", html="<p>\n{% if %}"))


def test_a_template_that_misses_another_names_it(note):
    with pytest.raises(TemplateError, match=r"note/text\.txt:1: no template named 'nope\.txt'"):
        render(note(text="{% include 'nope.txt' %}"))


def test_a_file_that_is_no_text_is_told(note, tmp_path):
    templates = note(text="x")
    (tmp_path / "note" / "text.txt").write_bytes(b"\xff\xfe")

    with pytest.raises(TemplateError, match="UnicodeDecodeError"):
        render(templates)


@pytest.mark.parametrize(
    "text",
    [
        "{{ facts[token] }}",
        "{{ token | int(default=token) + 1 }}",
        "{{ {}[token] }}",
        "{{ token.x }}",
    ],
)
def test_an_error_never_quotes_a_fact(note, text):
    with pytest.raises(TemplateError) as caught:
        render(note(text=text), token="hunter2hunter2", facts={})

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_folder_added_later_is_seen(note, write, tmp_path):
    catalogue = Catalogue.shipped()
    templates = Templates(catalogue)
    before = templates.prove("registration").subject

    catalogue.add_folder(write({"registration/subject.txt": "Changed"}))

    assert before != "Changed"
    assert templates.prove("registration").subject == "Changed"


def test_sources_tell_which_file_each_part_comes_from(write):
    folder = write({"registration/de/subject.txt": "Neu: {{ username }}"})
    templates = Templates(Catalogue.shipped([folder]))

    assert templates.sources("registration", "de_AT") == {
        "subject.txt": folder / "registration" / "de" / "subject.txt",
        "text.txt": SHIPPED_FOLDER / "registration" / "text.txt",
        "html.html": SHIPPED_FOLDER / "registration" / "html.html",
        "layout.html": SHIPPED_FOLDER / "layout.html",
    }
    assert templates.sources("registration")["subject.txt"].parent.parent == SHIPPED_FOLDER


def test_a_folders_layout_builds_on_the_shipped_one(write):
    layout = '{% extends "shipped/layout.html" %}{% block footer %}<p>Acme Ltd</p>{% endblock %}'
    templates = Templates(Catalogue.shipped([write({"layout.html": layout})]))

    html = templates.prove("registration").html

    assert html.index("View user profile") < html.index("Acme Ltd") < html.index(PERSONAL_MARK)


def test_any_selector_of_a_layouts_sheet_is_inlined(write):
    layout = (
        "<html><head><style>td > p:first-child { color: red }</style></head>"
        "<body><table><tr><td>{% block content %}{% endblock %}</td></tr></table></body></html>"
    )
    templates = Templates(Catalogue.shipped([write({"layout.html": layout})]))

    html = templates.prove("registration").html

    assert '<p class="line" style="color: red;">' in html
    assert "<style" not in html


@pytest.mark.parametrize("href", ["http://127.0.0.1:9/x.css", "/etc/passwd", "file:///etc/passwd"])
def test_nothing_is_fetched_for_a_layout(write, href):
    layout = (
        f'<html><head><link rel="stylesheet" href="{href}"><style>p {{ color: red }}</style></head>'
        "<body>{% block content %}{% endblock %}</body></html>"
    )
    templates = Templates(Catalogue.shipped([write({"layout.html": layout})]))

    html = templates.prove("registration").html

    assert "<link" not in html
    assert "root:" not in html


def test_prove_finds_what_the_sample_does_not_show(write):
    text = "{{ full_name.split(' ')[1] }}"  # the sample has two names, an event may have none
    templates = Templates(Catalogue.shipped([write({"registration/text.txt": text})]))

    with pytest.raises(TemplateError, match=r"registration/text\.txt:1"):
        templates.prove("registration")


def test_prove_asks_for_a_sample(write):
    from envoi.core.kind import Fact, Kind

    catalogue = Catalogue.shipped()
    catalogue.add(Kind(name="memo", facts={"title": Fact()}))

    with pytest.raises(TemplateError, match="memo: expected a sample"):
        Templates(catalogue).prove("memo")


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_has_a_sentence_in_every_language(shipped, why):
    english, german = (
        shipped.block(Because(why, "reviewers"), locale, PLAIN) for locale in ("en", "de")
    )

    assert english.text.startswith("You receive this ")
    assert german.text.startswith("Sie erhalten diese Nachricht")
    assert "\n" not in german.text
    assert german.html.startswith('<p class="personal" style="')


@pytest.mark.parametrize(
    ("because", "sentence"),
    [
        (Because(Why.ROLE, "reviewers"), "because you are a reviewer."),
        (Because(Why.ROLE, "owner"), "because it is yours."),
        (Because(Why.ROLE, "tax_office"), "because you are named in it (tax office)."),
        (Because(Why.GROUP, "ops"), "because you are a member of the group ops."),
        (Because(Why.ADMINS), "because you are an administrator."),
        (Because(Why.TOLD, "x"), "You receive this from App."),
    ],
)
def test_the_personal_block_says_why(shipped, because, sentence):
    assert shipped.block(because, "en", PLAIN).text.endswith(sentence)


def test_the_personal_block_escapes_what_it_names(shipped):
    block = shipped.block(Because(Why.GROUP, "<b>x</b>"), "en", PLAIN)

    assert "<b>x</b>" in block.text
    assert "&lt;b&gt;x&lt;/b&gt;" in block.html


def test_a_broken_personal_block_gives_way_to_the_shipped_one_and_fails_the_check(write):
    templates = Templates(Catalogue.shipped([write({"personal.txt": "{{ nope }}"})]))

    block = templates.block(Because(Why.ADMINS), "de", PLAIN)

    assert block.text.endswith("weil Sie Administrator sind.")
    with pytest.raises(TemplateError, match=r"personal\.txt:1"):
        templates.prove("registration")


def test_threads_do_not_mix_their_languages_and_zones():
    templates = Templates(Catalogue.shipped([BILLING]))
    data = context_of(Catalogue.shipped([BILLING]), "invoice_due")
    voices = [("en", "UTC"), ("de", "Europe/Berlin"), ("en_GB", "Asia/Tokyo"), ("de", "UTC")]
    alone = {voice: templates.render("invoice_due", *voice, data) for voice in voices}
    wrong: list[object] = []

    def work(voice: tuple[str, str]) -> None:
        wrong.extend(
            words
            for words in (templates.render("invoice_due", *voice, data) for _ in range(50))
            if words != alone[voice]
        )

    threads = [threading.Thread(target=work, args=(voice,)) for voice in voices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert len(set(alone.values())) == len(voices)
