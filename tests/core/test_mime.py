"""Header values and encodings, one rule of the RFCs at a time."""

import quopri
import re
from email.header import decode_header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.core.mime import (
    addresses,
    base64_lines,
    encoded_words,
    file_name,
    free_text,
    identifiers,
    quoted_printable,
)
from envoi.core.people import Address, Mailbox

LETTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(LETTERS, max_size=300)
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300)
ADDRESS = Address("ann", "example.org")


def lines_of(header: str) -> list[str]:
    assert header.endswith("\r\n")
    return header[:-2].split("\r\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a ? b = c", "a ? b = c"),
        ("schön", "=?utf-8?b?c2Now7Zu?="),
        ("Re: schön und gut", "Re: =?utf-8?b?c2Now7Zu?= und gut"),
        ("über alles fein und schön", "=?utf-8?q?=C3=BCber_alles_fein_und_sch=C3=B6n?="),
        ("山田太郎", "=?utf-8?b?5bGx55Sw5aSq6YOO?="),
        ("two  spaces", "=?utf-8?q?two__spaces?="),
        (" leading", "=?utf-8?q?_leading?="),
        ("trailing ", "=?utf-8?q?trailing_?="),
        ("a\tb", "=?utf-8?b?YQli?="),
        ("a x=?y", "a =?utf-8?q?x=3D=3Fy?="),
        ("a_b ü", "a_b =?utf-8?b?w7w=?="),
    ],
)
def test_only_the_stretch_that_needs_it_is_encoded(value, expected):
    assert free_text("Subject", value) == f"Subject: {expected}\r\n"


def test_long_plain_text_is_folded_at_spaces_and_reads_back():
    value = " ".join(["word"] * 60)

    lines = lines_of(free_text("Subject", value))

    assert max(map(len, lines)) <= 76
    assert len(lines) == 5
    assert "".join(lines) == f"Subject: {value}"


def test_a_word_too_long_for_a_line_is_encoded():
    lines = lines_of(free_text("X-Link", "see " + "x" * 1_200))

    assert max(map(len, lines)) <= 76


def test_a_long_link_stays_one_piece():
    link = "<https://example.org/" + "x" * 400 + ">"

    assert free_text("List-Unsubscribe", link) == f"List-Unsubscribe: {link}\r\n"


def test_the_value_starts_on_the_line_of_a_very_long_name():
    lines = lines_of(free_text("X-" + "n" * 74, "ü" * 20))

    assert lines[0].startswith("X-" + "n" * 74 + ": =?utf-8?")
    assert max(map(len, lines[1:])) <= 76


@settings(max_examples=400, deadline=None)
@given(value=LINES, name=st.sampled_from(["Subject", "X-A", "X-" + "n" * 40]))
def test_lines_with_encoded_words_are_at_most_76_columns(value, name):
    for line in lines_of(free_text(name, value)):
        if "=?" in line:
            assert len(line) <= 76
        assert all(len(word) <= 75 for word in line.split() if word.startswith("=?"))


@settings(max_examples=400, deadline=None)
@given(text=TEXTS.filter(bool), room=st.integers(24, 75))
def test_encoded_words_hold_whole_characters_and_join_to_the_text(text, room):
    words = encoded_words(text, room)

    decoded = []
    for word in words:
        [(octets, charset)] = decode_header(word)
        assert charset == "utf-8"
        decoded.append(octets.decode("utf-8"))
    assert "".join(decoded) == text
    assert len(words[0]) <= room
    assert all(len(word) <= 75 for word in words)


def test_encoded_words_end_behind_a_space_where_they_can():
    name = "Владимир Александрович Константинопольский (no-reply)"

    parts = [decode_header(word)[0][0].decode() for word in encoded_words(name)]

    assert parts == ["Владимир Александрович ", "Константинопольский ", "(no-reply)"]


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "ä\x1b[2J", "\x7f"])
def test_controls_are_refused(value):
    with pytest.raises(ValueError, match="without controls"):
        free_text("Subject", value)


@pytest.mark.parametrize("value", ["a\ud800", "ä \udfff"])
def test_half_a_surrogate_pair_is_refused(value):
    with pytest.raises(ValueError, match="surrogates"):
        free_text("Subject", value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "ann@example.org"),
        ("Ann Lee", "Ann Lee <ann@example.org>"),
        ("Lee, Ann", '"Lee, Ann" <ann@example.org>'),
        ('Ann "the" \\ Lee', '"Ann \\"the\\" \\\\ Lee" <ann@example.org>'),
        ("Ann (no-reply)", '"Ann (no-reply)" <ann@example.org>'),
        ("ann@example.org", '"ann@example.org" <ann@example.org>'),
        ("J. R.", '"J. R." <ann@example.org>'),
        ("Zoë", "=?utf-8?q?Zo=C3=AB?= <ann@example.org>"),
        ("=?utf-8?q?Ann?=", "=?utf-8?b?PT91dGYtOD9xP0Fubj89?= <ann@example.org>"),
        ("Ann\r\n  Lee", "Ann Lee <ann@example.org>"),
        (";:<>", '";:<>" <ann@example.org>'),
    ],
)
def test_a_name_is_written_so_that_no_reader_takes_it_for_more(name, expected):
    assert addresses("To", [Mailbox(ADDRESS, name)], utf8=False) == f"To: {expected}\r\n"


def test_a_name_of_thousands_of_characters_keeps_lines_short():
    lines = lines_of(addresses("Reply-To", [Mailbox(ADDRESS, "x" * 5_000)], utf8=False))

    assert max(map(len, lines)) <= 76


def test_a_name_with_controls_is_refused():
    with pytest.raises(ValueError, match="To: expected one line"):
        addresses("To", [Mailbox(ADDRESS, "a\x01")], utf8=False)


def test_ids_are_folded_between_each_other():
    ids = [f"{number:040}@example.org" for number in range(5)]

    lines = lines_of(identifiers("References", ids))

    assert len(lines) == 5
    assert "".join(lines) == "References: " + " ".join(f"<{one}>" for one in ids)


@pytest.mark.parametrize("one", ["", "a b", "a>b", "<a", "ä@x", "a\n", "x" * 901])
def test_an_id_that_could_leave_its_brackets_is_refused(one):
    with pytest.raises(ValueError, match="expected message ids"):
        identifiers("References", ["ok@example.org", one])


def whole_lines(text: str) -> bytes:
    canonical = text.replace("\r", "").replace("\0", "") + "\n"
    return canonical.replace("\n", "\r\n").encode()


@settings(max_examples=400, deadline=None)
@given(
    text=st.lists(
        st.one_of(TEXTS, st.sampled_from(["From ", "\nFrom ", ".\n", " \n", "\t\n", "=", "x" * 80]))
    ).map("".join)
)
def test_quoted_printable_is_narrow_and_reads_back(text):
    octets = whole_lines(text)

    written = quoted_printable(octets)

    lines = written.split(b"\r\n")
    assert quopri.decodestring(written) == octets
    assert max(map(len, lines)) <= 76
    assert not any(line.endswith((b" ", b"\t")) or line.startswith(b"From ") for line in lines)
    assert b"." not in lines
    assert written.count(b"\r\n") == written.count(b"\r") == written.count(b"\n")


def test_a_line_that_starts_with_from_reads_back():
    assert quoted_printable(b"From a\r\nFrom b\r\n") == b"=46rom=\r\n a\r\n=46rom=\r\n b\r\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notes.txt", ' filename="notes.txt"'),
        ("my notes (2).txt", ' filename="my notes (2).txt"'),
        ("two  spaces", " filename*=utf-8''two%20%20spaces"),
        ('a".txt', " filename*=utf-8''a%22.txt"),
        ("a;b='c'.txt", " filename*=utf-8''a%3Bb%3D%27c%27.txt"),
        ("=?utf-8?q?x?=", " filename*=utf-8''%3D%3Futf-8%3Fq%3Fx%3F%3D"),
        ("Übersicht.pdf", " filename*=utf-8''%C3%9Cbersicht.pdf"),
    ],
)
def test_a_file_name_is_plain_or_rfc_2231(name, expected):
    assert file_name(name) == f";\r\n{expected}"


def test_a_long_file_name_is_continued_in_whole_characters():
    lines = file_name("資料" * 30).split(";\r\n")[1:]

    assert max(map(len, lines)) <= 76
    assert lines[0].startswith(" filename*0*=utf-8''%E8%B3%87")
    values = [re.sub(r"^ filename\*\d+\*=(utf-8'')?", "", line) for line in lines]
    assert all(len(value) % 9 == 0 for value in values)


def test_a_file_name_with_controls_is_refused():
    with pytest.raises(ValueError, match="filename: expected one line"):
        file_name("a\r\nb")


def test_an_empty_file_makes_no_lines():
    assert base64_lines(b"") == b""


@pytest.mark.parametrize("width", range(70, 80))
@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_blank_at_the_end_of_a_full_line_does_not_widen_it(width, blank):
    octets = f"{'x' * width}{blank}\r\nnext\r\n".encode()

    written = quoted_printable(octets)

    assert quopri.decodestring(written) == octets
    assert max(map(len, written.split(b"\r\n"))) <= 76
