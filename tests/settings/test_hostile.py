"""Whatever stands in a settings file or the environment, a person is told in plain words."""

import doctest
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from envoi import settings
from envoi.errors import SettingsError
from envoi.settings import kallithea_values
from envoi.settings.families import names_of
from envoi.settings.kallithea import KEYS
from envoi.settings.table import ROWS, SECTIONS

FOLDER = Path(__file__).parent

texts = st.text(max_size=30) | st.text(alphabet="ab.:/@[]<>%=?~\\\n\0-_1", max_size=20)
urls = st.builds("{}{}".format, st.sampled_from(["sqlite:///", "http://", "postgresql://"]), texts)
scalars = (
    texts
    | urls
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.datetimes()
    | st.dates()
    | st.times()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
sections = st.sampled_from([*SECTIONS, "senders"])
keys = st.sampled_from([row.name for row in ROWS]) | texts
tables = st.dictionaries(
    sections | texts,
    st.dictionaries(
        keys | st.just("main"), values | st.dictionaries(keys, values, max_size=3), max_size=5
    )
    | values,
    max_size=5,
)
variables = st.sampled_from(
    [f"ENVOI_{name}__{key}".upper() for name in SECTIONS for key in sorted(names_of(name))]
) | texts.map("ENVOI_{}".format)
environments = st.dictionaries(variables, texts | urls, max_size=3)


def told(tables, env=None):
    """The settings, or the problems in words."""
    try:
        return settings.from_mapping(tables, FOLDER, env), []
    except SettingsError as err:
        return None, [str(problem) for problem in err.problems]


@given(tables, environments)
def test_anything_is_settings_or_problems_on_one_line_each(tables, env):
    loaded, problems = told(tables, env)

    assert bool(loaded) != bool(problems)
    assert all(len(problem.splitlines()) == 1 for problem in problems)


@given(tables, environments)
def test_whatever_is_taken_can_be_listed_and_has_a_from(tables, env):
    loaded, _ = told(tables, env)

    if loaded:
        assert all(entry.origin for entry in loaded.listing())
        assert str(loaded.applications["main"].sender.address)


@given(st.sampled_from(ROWS), values)
def test_any_value_of_any_key_is_taken_or_told_on_one_line(row, value):
    _, problems = told({row.section: {row.name: value}})

    assert all(len(problem.splitlines()) == 1 for problem in problems)


secrets = st.text(min_size=8, alphabet="abcdefgh/:@?&=%#[]\n ", max_size=20).map("S3CRET{}".format)


@given(secrets, st.sampled_from(["x", "postgresql", "sqlite", "postgresql+psycopg"]))
def test_a_database_password_is_never_told(secret, scheme):
    loaded, problems = told({"outbox": {"url": f"{scheme}://user:{secret}@host/name"}})

    assert "S3CRET" not in str(problems) + repr(loaded)


@given(secrets.filter(lambda secret: "://" not in secret))
def test_a_password_in_the_wrong_place_is_never_told(secret):
    tables = {"outbox": {"url": secret}, "smtp": {"password": f"{secret}\n", "pasword": secret}}
    _, problems = told(tables | {"password": secret, "guard": secret})

    assert len(problems) == 5
    assert "S3CRET" not in str(problems)


ini_keys = st.sampled_from([key.name for key in KEYS]) | st.sampled_from(
    ["use", "envoi.smtp.idle_s", "envoi.senders.x.enabled", "envoi.application.a.from"]
)
ini_lines = (
    st.builds("{}{} = {}".format, st.sampled_from(["", "set ", "get "]), ini_keys, texts | urls)
    | texts
    | st.sampled_from(["[DEFAULT]", "[app:main]", "[x]"])
)


@given(st.lists(ini_lines, max_size=8), st.booleans())
def test_any_ini_is_settings_or_problems_on_one_line_each(tmp_path_factory, lines, is_ini):
    path = tmp_path_factory.mktemp("site") / "my.ini"
    begun = ["[app:main]", *lines] if is_ini else lines
    path.write_bytes("\n".join(begun).encode("utf-8", "surrogatepass"))

    try:
        loaded, problems = settings.load(path, {}), []
    except SettingsError as err:
        loaded, problems = None, [str(problem) for problem in err.problems]

    assert bool(loaded) != bool(problems)
    assert all(len(problem.splitlines()) == 1 for problem in problems)
    if loaded:
        text = settings.equivalent(loaded, path.with_suffix(".toml"))
        path.with_suffix(".toml").write_text(text, encoding="utf-8")
        assert settings.load(path.with_suffix(".toml"), {}).smtp == loaded.smtp


def test_the_examples_of_single_values_are_true():
    assert doctest.testmod(kallithea_values).failed == 0
