import pytest

from envoi.core.plaintext import text_of_html
from envoi.templates.filters import (
    breaks,
    first_line,
    is_absolute,
    link,
    moment,
    quote_block,
    tagged,
    wrap,
)
from envoi.templates.languages import read_locale
from envoi.templates.render import read_zone


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a\nb\nc"),
        ("<a href='https://x.test'>Go</a>", "Go <https://x.test>"),
        ("<a href='https://x.test'>https://x.test</a>", "https://x.test"),
        ("<a>no link</a>", "no link"),
        ("<head><title>t</title><style>p{}</style></head><script>x()</script>words", "words"),
        ("<p>a\n   b\t c</p>", "a b c"),
        ("Tom &amp; &lt;b&gt; &#128169;", "Tom & <b> \U0001f4a9"),
        ("<p>left open <b>bold", "left open bold"),
        ("</a></p></style>closed twice", "closed twice"),
        ("<!-- comment -->", ""),
        ("", ""),
    ],
)
def test_html_becomes_readable_text(html, text):
    assert text_of_html(html) == text


def test_wrap_keeps_links_lists_and_short_lines_whole():
    url = "https://example.org/" + "x" * 100
    text = f"short\n\n  - {'word ' * 20}\n{url}"

    wrapped = wrap(text, 40).split("\n")

    assert wrapped[:2] == ["short", ""]
    assert wrapped[2].startswith("  - word")
    assert all(line.startswith("  word") for line in wrapped[3:-1])
    assert wrapped[-1] == url


@pytest.mark.parametrize("width", [-5, 0, 10**9])
def test_wrap_takes_any_width(width):
    assert wrap("a " * 10, width)


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("https://x.test/a?b=1&c=2#d", "https://x.test/a?b=1&c=2#d"),
        ("mailto:a@x.test", "mailto:a@x.test"),
        ("/path", "https://root.test/path"),
        ("//evil.test/path", ""),
        ("JavaScript:alert(1)", ""),
        ("java\nscript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("file:///etc/passwd", ""),
        ('https://x.test/"onclick=', ""),
        ("https://x.test/ y", ""),
        ("", ""),
        (None, ""),
        (7, ""),
        ("********", "********"),
    ],
)
def test_only_web_links_and_mailto_pass(url, made):
    assert link(url, "https://root.test") == made


@pytest.mark.parametrize("url", ["********", "/path", "", "javascript:x", None])
def test_what_cannot_be_followed_from_a_mail_is_not_absolute(url):
    assert not is_absolute(url)


@pytest.mark.parametrize("at", [None, "", "soon", True, 10**30, -(10**30), float("nan"), [1]])
def test_a_moment_that_is_none_is_left_out(at):
    assert moment(at, read_locale("en"), read_zone("UTC")) == ""


def test_a_zone_without_letters_is_told_by_its_distance():
    assert moment(0, read_locale("de"), read_zone("America/Sao_Paulo")).endswith(" UTC-03")


def test_empty_texts_stay_empty():
    assert (first_line(""), quote_block(""), str(breaks(""))) == ("", ">", "")


@pytest.mark.parametrize(
    ("subject", "tags", "expected"),
    [
        ("[Comment] docs", "Approved", "[Approved: Comment] docs"),
        ("[Comment] docs", "Not approved, Closing", "[Not approved, Closing: Comment] docs"),
        ("[Comment] docs", "", "[Comment] docs"),
        ("[Comment] docs", " \n", "[Comment] docs"),
        ("docs [Comment]", "Closing", "[Closing] docs [Comment]"),
        ("\n[Comment] docs\n", "Closing", "[Closing: Comment] docs"),
        ("[Comment] docs", "a] [b", "[a b: Comment] docs"),
        ("", "Closing", "[Closing] "),
        ("[Comment] docs", "x" * 70, f"[{'x' * 57}...: Comment] docs"),
    ],
)
def test_tags_stand_in_the_first_bracket_of_a_subject(subject, tags, expected):
    assert tagged(subject, tags) == expected
