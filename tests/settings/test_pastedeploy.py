"""What an application sees of a PasteDeploy ini; each rule was tried on PasteDeploy 3.1 itself."""

import re

import pytest

from envoi.errors import SettingsError
from envoi.settings.pastedeploy import MAX_FILE_BYTES, read_ini


@pytest.fixture
def ini(tmp_path):
    """Return `ini(content)`: what the application sees of it."""

    def read(content):
        path = tmp_path / "my.ini"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_ini(path)

    return read


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        pytest.param("[DEFAULT]\nk = global\n[app:main]", "global", id="global"),
        pytest.param("[app:main]\nk = own", "own", id="own"),
        pytest.param("[DEFAULT]\nk = global\n[app:main]\nk = own", "global", id="both"),
        pytest.param("[DEFAULT]\nk = global\n[app:main]\nset k = mine", "mine", id="set"),
        pytest.param("[app:main]\nset k = mine", "mine", id="set anew"),
        pytest.param("[app:main]\nset k = mine\nk = own", "own", id="set and own"),
        pytest.param("[DEFAULT]\nj = x\n[app:main]\nget k = j", "x", id="get"),
        pytest.param("[DEFAULT]\nj = x\n[app:main]\nk = own\nget k = j", "x", id="get wins"),
        pytest.param(
            "[DEFAULT]\nj = x\n[app:main]\nset j = y\nget k = j", "y", id="get what is set"
        ),
        pytest.param("[app:main]\nj = own\nget k = j", "own", id="get an own one"),
        pytest.param("[app:main]\nget k = j", "", id="get nothing"),
        pytest.param("[DEFAULT]\nk =\n[app:main]", "", id="empty"),
        pytest.param("[app:main]\nk = 100%% sure", "100% sure", id="percent"),
        pytest.param("[DEFAULT]\nj = x\n[app:main]\nk = a %(j)s b", "a x b", id="reference"),
        pytest.param("[app:main]\nk = %(j)s\nj = %%(x)s", "%(x)s", id="percent in a reference"),
        pytest.param("[app:main]\nk = a\n  b", "a\nb", id="two lines"),
        pytest.param("[app:main]\nk: colon", "colon", id="colon"),
        pytest.param("[app:main]\nk \t = \t a = b : c ", "a = b : c", id="first delimiter"),
        pytest.param("[app:main]\nk = a ; b # c", "a ; b # c", id="no comment behind a value"),
        pytest.param("# c\n; c\n[app:main]\nk = v", "v", id="comments"),
        pytest.param("[app:main]\nK = other case", "", id="case counts"),
        pytest.param("\ufeff[app:main]\r\nk = v\r\n", "v", id="Windows"),
        pytest.param("[app:main]\nk = Zürich", "Zürich", id="UTF-8"),
        pytest.param("[application:main]\nk = v", "v", id="long name"),
        pytest.param("[app]\nk = v", "v", id="short name"),
        pytest.param(
            "[composite:main]\nuse = egg:Paste#urlmap\n[app:kal]\nk = v", "v", id="composite"
        ),
        pytest.param("[DEFAULT]\nk = a\n[DEFAULT]\nj = b\n[app:main]", "a", id="defaults twice"),
        pytest.param("[app:main]\nuse = egg:kallithea\nk = v", "v", id="egg"),
    ],
)
def test_a_value_is_what_the_application_sees(ini, content, seen):
    assert ini(content).text("k") == seen


def test_here_is_the_folder_of_the_file_be_there_a_percent_sign_in_it(tmp_path):
    folder = tmp_path / "50% off"
    folder.mkdir()
    path = folder / "my.ini"
    path.write_text("[DEFAULT]\nurl = sqlite:///%(here)s/k.db\nown = %(__file__)s\n[app:main]\n")

    seen = read_ini(path)

    assert seen.text("url") == f"sqlite:///{folder}/k.db"
    assert seen.text("own") == str(path)


def test_a_file_may_say_itself_where_here_is(ini):
    assert ini("[DEFAULT]\nhere = /srv\nk = %(here)s/x\n[app:main]").text("k") == "/srv/x"


def test_a_key_that_the_defaults_overrule_is_told(ini):
    content = "[DEFAULT]\na = 1\nb = 2\n[app:main]\na = 3\nb = 2"

    assert ini(content).passed_over == ["a"]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param("50% off", "a percent sign alone: write %%", id="percent"),
        pytest.param("%(nowhere)s", "%(nowhere)s is not there", id="missing"),
        pytest.param("%(k)s", "%(k)s goes round in circles, or too deep", id="itself"),
        pytest.param("%(a)s", "%(a)s goes round in circles, or too deep", id="circle"),
        pytest.param("x" * 10_001, "longer than 10000 characters", id="long"),
    ],
)
def test_a_value_that_cannot_be_expanded_says_why_and_harms_no_other(ini, value, fault):
    seen = ini(f"[app:main]\nk = {value}\na = %(b)s\nb = %(a)s\nj = fine")

    assert (seen.text("k"), seen.text("j")) == ("", "fine")
    assert seen.values["k"].fault == fault


def test_values_that_multiply_one_another_end_at_once(ini):
    lines = [f"k{n} = {f'%(k{n + 1})s' * 50}" for n in range(9)]

    seen = ini("\n".join(["[app:main]", *lines, "k9 = x"]))

    # 50 + 50 * 50 letters are within the bound, 50 * 50 * 50 are not.
    assert len(seen.text("k7")) == 2500
    assert seen.values["k6"].fault == "longer than 10000 characters"


def test_empty_values_that_multiply_one_another_end_at_once(ini):
    lines = [f"k{n} = {f'%(k{n + 1})s' * 50}" for n in range(9)]

    assert ini("\n".join(["[app:main]", *lines, "k9 ="])).text("k0") == ""


FORM = "an ini file: [SECTION], then KEY = VALUE"
ONE = "one section [app:main]"
HERE = "the application's settings in [app:main]"
ELSEWHERE = (
    "(other files and sections are not followed: name the file that has them, or put the keys "
    "that concern mail into [DEFAULT])"
)
LARGE = "x" * 10_000_000


@pytest.mark.parametrize(
    ("content", "expected", "got"),
    [
        pytest.param(b"\n\n# Z\xfcrich", "UTF-8", "another encoding at line 3", id="Latin-1"),
        pytest.param(b"[app:main]\nk = a\0b", "text", "a NUL byte at line 2", id="NUL"),
        pytest.param(bytes(range(256)), "UTF-8", "another encoding at line 2", id="binary"),
        pytest.param(
            "[app:main]\nk = 1\nk = 2",
            "every key once",
            "k twice in [app:main], line 3",
            id="key twice",
        ),
        pytest.param(
            "[app:main]\n[x]\n[app:main]",
            "every section once",
            "[app:main] twice, line 3",
            id="section twice",
        ),
        pytest.param("k = 1", FORM, "text before the first section, line 1", id="no section"),
        pytest.param("[app:main]\npa55word", FORM, "something else in line 2", id="no value"),
        pytest.param("[DEFAULT]\nk = 1", ONE, "none", id="no application"),
        pytest.param("", ONE, "none", id="empty"),
        pytest.param("[app:a]\n[app:b]", ONE, "[app:a], [app:b]", id="two applications"),
        pytest.param(
            "[app:main]\nk = " + "x" * 30_000,
            "lines of at most 20000 characters",
            "a longer one, line 2",
            id="long line",
        ),
        pytest.param(
            LARGE, f"a file of at most {MAX_FILE_BYTES} bytes", "a larger one", id="10 MB"
        ),
        pytest.param(
            "[app:main]\nuse = config:other.ini",
            HERE,
            f"use = config:other.ini {ELSEWHERE}",
            id="other file",
        ),
        pytest.param("[app:main]\nuse = kal", HERE, f"use = kal {ELSEWHERE}", id="other section"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(ini, tmp_path, content, expected, got):
    with pytest.raises(SettingsError) as caught:
        ini(content)

    assert str(caught.value.problems[0]) == f"{tmp_path}/my.ini: expected {expected}, got {got}"
    assert "pa55word" not in f"{caught.value!r} {caught.value.__context__!r}"


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SettingsError, match=re.escape("my.ini: expected a settings file, got No")):
        read_ini(tmp_path / "my.ini")
