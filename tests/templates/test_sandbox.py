"""RELIABILITY D: what a template cannot do, wherever it comes from."""

import enum

import pytest
from markupsafe import Markup

from envoi.errors import TemplateError
from envoi.templates.sandbox import plain


class User:
    """Something of an application that must not reach a template."""

    password = "hunter2"

    def delete(self) -> str:
        return "deleted"


@pytest.mark.parametrize(
    "text",
    [
        '{{ cycler.__init__.__globals__.os.popen("id").read() }}',
        "{{ self.__init__.__globals__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ title|attr('__class__') }}",
        "{{ '{0.__class__}'.format(title) }}",
        "{{ '{0.__class__}'.format_map({'a': title}) }}",
        "{{ [title]|map(attribute='__class__')|join }}",
        "{{ gettext.__init__.__globals__ }}",
        "{{ facts.update({'a': 1}) }}",
        "{{ people.append('x') }}",
        "{{ lipsum() }}",
    ],
)
def test_a_template_does_not_reach_python(note, text):
    with pytest.raises(TemplateError):
        note(text=text).render("note", "en", "UTC", {"title": "x", "facts": {}, "people": []})


@pytest.mark.parametrize(
    "text",
    [
        "{{ ('x' * 200000000)|length }}",
        "{{ (200000000 * 'x')|length }}",
        "{{ ([1] * 200000000)|length }}",
        "{{ '%200000000d' % 1 }}",
        "{{ '%*d' % (200000000, 1) }}",
        "{{ '%200000000d'|format(1) }}",
        "{{ title.ljust(200000000)|length }}",
        "{{ title|center(200000000) }}",
        "{{ title|indent(200000000) }}",
        "{{ 10 ** 10 ** 10 }}",
        "{% for i in range(10 ** 3) %}{% for j in range(10 ** 3) %}{% endfor %}{% endfor %}",
        "{{ range(10000000)|list }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(40) }}",
        "{% set n = namespace(t='x') %}{% for i in range(60) %}{% set n.t = n.t+n.t %}{% endfor %}",
        "{% for i in range(300) %}{{ title_of_5000 }}{% endfor %}",
        "{% include 'note/text.txt' %}",
    ],
)
def test_a_templates_work_and_words_are_bounded(note, text):
    data = {"title": "x", "title_of_5000": "x" * 5000}

    with pytest.raises(TemplateError):
        note(text=text).render("note", "en", "UTC", data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 2 * 3 + 1 }}", "7"),
        ("{{ 'a' + 'b' }}", "ab"),
        ("{{ '%s of %d' % ('one', 2) }}", "one of 2"),
        ("{{ 2 ** 10 }}", "1024"),
        ("{{ 7 % 4 }}", "3"),
        ("{% for i in range(1000) %}{{ i if i == 999 }}{% endfor %}", "999"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{% for i in [1, 2] | map('string') %}{{ loop.index }}{{ i }} {% endfor %}", "11 22"),
        ("{{ [3, 1] | sort | join('-') }}", "1-3"),
        ("{{ ngettext('%(num)d cat', '%(num)d cats', 2) }}", "2 cats"),
        ("{{ pgettext('verb', 'post %(x)s', x=1) }}", "post 1"),
        ("{{ npgettext('noun', 'a post', '%(num)s posts', 3) }}", "3 posts"),
        ("{% trans n=2 %}one{% pluralize n %}{{ n }} many{% endtrans %}", "2 many"),
        ("{% for i in [1] %}{{ _('in a loop') }}{% endfor %}", "in a loop"),
    ],
)
def test_what_templates_need_works(note, text, said):
    assert note(text=text).render("note", "en", "UTC", {}).text.strip() == said


def test_a_phrase_of_html_escapes_its_values(note):
    html = "<p>{% trans x=title %}<b>{{ x }}</b>{% endtrans %}</p>"

    words = note(html=html).render("note", "en", "UTC", {"title": "<i>"})

    assert words.html == "<p><b>&lt;i&gt;</b></p>"


@pytest.mark.parametrize(
    "value",
    [User(), User, [User()], {"a": {"b": User()}}, object(), lambda: 1, b"x", {1: "x"}, {"x"}],
    ids=["object", "class", "list", "nested", "plain object", "function", "bytes", "key", "set"],
)
def test_only_plain_data_reaches_a_template(note, value):
    with pytest.raises(TemplateError, match="user: expected"):
        note(text="{{ user }}").render("note", "en", "UTC", {"user": value})


def test_a_cycle_is_no_plain_data(note):
    cycle: list[object] = []
    cycle.append(cycle)

    with pytest.raises(TemplateError, match="at most 8 levels"):
        note(text="x").render("note", "en", "UTC", {"cycle": cycle})


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Markup("<b>"), "<b>"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (("a", 1), ["a", 1]),
        (True, True),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_subclasses_of_plain_types_lose_what_they_add(value, expected):
    made = plain(value)

    assert made == expected
    assert type(made) is type(expected)


def test_ready_made_markup_in_data_is_escaped_all_the_same(note):
    words = note(html="<p>{{ title }}</p>").render("note", "en", "UTC", {"title": Markup("<b>")})

    assert words.html == "<p>&lt;b&gt;</p>"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..", "note/../kind.toml", "a\\..\\b"]
)
@pytest.mark.parametrize("tag", ["include", "import", "extends"])
def test_templates_are_loaded_from_the_folders_only(note, name, tag):
    text = f"{{% {tag} {name!r} {'as x ' if tag == 'import' else ''}%}}"

    with pytest.raises(TemplateError, match="no template named"):
        note(text=text).render("note", "en", "UTC", {})


@pytest.mark.parametrize(
    "html",
    [
        "<p>{% from 'words.txt' import who %}{{ who(actor) }}</p>",
        "<p>{% include 'note/text.txt' %}</p>",
        "<p>{% import 'words.txt' as words %}</p>",
        "{% extends 'note/text.txt' %}",
        "<p>{% include ['nope.html', 'note/text.txt'] %}</p>",
    ],
)
def test_html_never_takes_words_that_nobody_escaped(note, html):
    data = {"title": "<b>", "actor": {"name": "<b>", "login": "<b>"}}

    with pytest.raises(TemplateError, match="an HTML template cannot load"):
        note(text="{{ title }}", html=html).render("note", "en", "UTC", data)


def test_words_that_both_parts_use_are_escaped_in_html(note):
    data = {"actor": {"name": "<b>", "login": "x"}}
    macro = "{%% from 'words.%s' import who %%}{{ who(actor) }}"

    words = note(text=macro % "txt", html=macro % "html").render("note", "en", "UTC", data)

    assert (words.text, words.html) == ("<b> (x)\n", "&lt;b&gt; (x)")
