"""`envoi.toml` made from a Kallithea's ini: it means the same, and says what became of each key."""

import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.errors import RefusedError
from envoi.settings import Settings, equivalent, load, replace_private, write_private

FULL = """\
[DEFAULT]
app_email_from = "Doe, \\"Inc\\"" <kal@example.org>
email_prefix = [Kallithea]
email_to = a@example.org, b@example.org
error_email_from = Errors <errors@example.org>
smtp_server = mail.example.org:2525
smtp_username = kal
smtp_password = pa55\\"w%%rd'; # ä
smtp_use_tls = true
smtp_auth = LOGIN PLAIN
set debug = nothing here
[app:main]
use = egg:kallithea
set debug = true
canonical_url = https://code.example.org/repos
sqlalchemy.url = sqlite:///%(here)s/kallithea.db?timeout=60
i18n.lang = de
trace_errors.dump_request = true
trace_errors.dump_request_size = 99
use_celery = true
index_dir = %(here)s/data
smpt_port = 25
envoi.smtp.ca_file = ca.pem
envoi.smtp.idle_s = 2.5
envoi.smtp.password_file = secret
envoi.application.wiki.from = wiki@example.org
envoi.senders.registration.enabled = false
"""


@pytest.fixture
def full(tmp_path):
    """An ini that sets everything once."""
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "secret").write_text("from \\ the 'file'")
    path = tmp_path / "my.ini"
    path.write_text(FULL.replace("set debug = nothing here\n", ""))
    path.chmod(0o600)
    return path


def meaning(settings: Settings) -> Settings:
    """Return the settings without where they came from."""
    return replace(settings, path=None, folder=settings.folder, entries=(), notes=(), warnings=())


def rewritten(path, target):
    """Return what the file says that is made from another."""
    target.parent.mkdir(exist_ok=True)
    target.write_text(equivalent(load(path, {}), target), encoding="utf-8")
    return load(target, {})


def test_the_file_beside_the_ini_means_the_same(full, tmp_path):
    assert meaning(rewritten(full, tmp_path / "envoi.toml")) == meaning(load(full, {}))


def test_the_file_elsewhere_means_the_same(full, tmp_path):
    written = rewritten(full, tmp_path / "etc" / "envoi.toml")

    assert replace(meaning(written), folder=full.parent) == meaning(load(full, {}))


def test_the_file_names_no_folder_that_is_its_own(full, tmp_path):
    text = equivalent(load(full, {}), tmp_path / "envoi.toml")

    assert "[outbox]" not in text


@given(
    prefix=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20),
    password=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20),
    name=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20),
)
def test_whatever_the_ini_holds_the_file_holds_too(tmp_path_factory, prefix, password, name):
    folder = tmp_path_factory.mktemp("site")
    path = folder / "my.ini"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    lines = {
        "email_prefix": prefix,
        "smtp_username": "kal",
        "smtp_password": password,
        "app_email_from": f'"{escaped}" <kal@example.org>',
    }
    text = "\n".join(f"{key} = {value.replace('%', '%%')}" for key, value in lines.items())
    path.write_text(f"[app:main]\n{text}\n", encoding="utf-8")

    loaded = load(path, {})

    assert loaded.smtp.password.reveal() == password
    assert loaded.applications["main"].sender.name == name
    assert meaning(rewritten(path, folder / "envoi.toml")) == meaning(loaded)


def test_each_key_of_the_ini_has_a_line(full, tmp_path):
    lines = equivalent(load(full, {}), tmp_path / "envoi.toml").splitlines()

    keys = [
        line.split(" = ")[0].removeprefix("set ") for line in FULL.splitlines() if " = " in line
    ]
    missing = [key for key in keys if not any(line.startswith(f"# {key}: ") for line in lines)]
    assert missing == ["use", "index_dir"]
    assert lines[-1] == "# Not about mail, and not read: index_dir"


def test_a_key_stands_above_what_it_became(full, tmp_path):
    lines = equivalent(load(full, {}), tmp_path / "envoi.toml").splitlines()

    at = lines.index('prefix = "[Kallithea]"')
    assert lines[at - 1] == "# email_prefix: application.prefix"


def test_a_key_with_a_strange_name_breaks_no_syntax(tmp_path):
    path = tmp_path / "my.ini"
    path.write_text("[app:main]\nodd\x85key\x0b\u2028 = 1\n", encoding="utf-8")

    assert rewritten(path, tmp_path / "envoi.toml").path == tmp_path / "envoi.toml"


def test_replacing_keeps_the_file_for_its_owner_alone(tmp_path):
    path = tmp_path / "envoi.toml"
    path.write_text("old")
    path.chmod(0o644)

    replace_private(path, "new")

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["envoi.toml"]


@pytest.mark.parametrize("write", [write_private, replace_private])
def test_a_folder_is_not_written_over(tmp_path, write):
    (tmp_path / "envoi.toml").mkdir()

    with pytest.raises(RefusedError, match=r"envoi\.toml"):
        write(tmp_path / "envoi.toml", "text")

    assert [one.name for one in tmp_path.iterdir()] == ["envoi.toml"]
