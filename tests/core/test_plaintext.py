"""What a reader without HTML gets of a mail that has only HTML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.plaintext import text_of_html


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<p>a\n   b\t c</p>", "a b c"),
        ("<style>p{}</style><p>a</p><script>x()</script>", "a"),
        ("<head><title>t</title></head><h1>A</h1>b", "A\n\nb"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("<!-- note -->a &lt;b&gt; &amp; c", "a <b> & c"),
        ("a<p></p><p></p><p></p>b", "a\n\nb"),
        ("<a href='https://x.test/'>Look</a>", "Look <https://x.test/>"),
        ("<a href='https://x.test/'>https://x.test/</a>", "https://x.test/"),
        ("<a>no link</a>", "no link"),
        ("a</a>b</script>c", "abc"),
        ("<p>open <b>for ever", "open for ever"),
    ],
)
def test_html_reads_as_text(markup, expected):
    assert text_of_html(markup) == expected


@given(st.text(st.sampled_from("<>/abpi!-&#;'\"= \n"), max_size=60))
def test_any_text_is_read_without_an_error(markup):
    text = text_of_html(markup)

    assert "\n\n\n" not in text
    assert text == text.strip()
