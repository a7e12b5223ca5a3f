import pytest

from envoi.core.kind import Fact, FactType, Kind, MailClass, Seek
from envoi.core.rules import merged, read_senders
from envoi.errors import SettingsError, TemplateError, UnknownKindError
from envoi.templates.catalogue import SHIPPED_FOLDER, Catalogue
from envoi.templates.render import Templates
from tests.templates.samples import BILLING

SHIPPED_KINDS = {
    "pull_request",
    "pull_request_comment",
    "cs_comment",
    "registration",
    "password_reset",
    "password_changed",
    "password_external",
    "message",
    "server_up",
    "server_down",
    "failed_login",
    "new_user",
    "new_comment",
    "object_changed",
    "broadcast",
    "broken_links",
    "error_digest",
    "error_report",
    "held_back",
}
KIND = """
description = "A note"
class = "report"
lifetime_s = 60
route_later = true
from_actor = false
actor_name_in = "title"
type_header = "app-note"
subject = ["{title}-{number}", "{title}"]
subthread = "{subject}-{number}"
roles = ["readers", "author"]

[seek.readers]
mentions_in = "words"
except_in = "old_words"

[seek.author]
name_in = "title"
full_name_in = "title"

[facts]
title = "line"
number = { type = "integer", required = false }
words = { type = "text", required = false }
old_words = { type = "text", required = false }
at = { type = "moment", required = false, description = "When" }
link = { type = "own_link", secret = true }

[sample]
actor = "ann"
subject = "notes/1"

[sample.people]
readers = ["ben"]

[sample.facts]
title = "Hello"
at = 2026-01-01T00:00:00Z
link = "/x"
"""
WORDS = {"note/subject.txt": "{{ title }}", "note/text.txt": "{{ title }}"}


def problems_of(folder, catalogue: Catalogue | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        (catalogue or Catalogue.shipped()).add_folder(folder)
    return [f"{problem.where.removeprefix(str(folder))}" for problem in caught.value.problems]


def test_the_shipped_kinds_are_those_of_the_seeds():
    assert set(Catalogue.shipped().kinds()) == SHIPPED_KINDS


def test_the_shipped_kinds_are_registered_by_the_call_that_applications_use():
    catalogue = Catalogue()
    catalogue.add_folder(SHIPPED_FOLDER)
    catalogue.add_folder(BILLING)

    assert set(catalogue.kinds()) == SHIPPED_KINDS | {"invoice_due", "payment_failed"}


def test_every_shipped_kind_describes_itself_and_its_facts():
    for kind in Catalogue.shipped().kinds().values():
        assert kind.description, kind.name
        assert all(fact.description for fact in kind.facts.values()), kind.name


def test_a_password_reset_is_security_mail_that_dies_after_a_day():
    kind = Catalogue.shipped().kind("password_reset")

    assert kind.mail_class is MailClass.SECURITY
    assert kind.lifetime_s == 24 * 60 * 60
    assert kind.secrets == {"reset_url", "token"}


@pytest.mark.parametrize("folders", [(), (BILLING,)], ids=["shipped", "with billing"])
def test_every_sender_of_the_folders_fits_its_kind(folders):
    catalogue = Catalogue.shipped(folders)

    senders, problems = read_senders(merged([catalogue.sender_tables()]), catalogue.kinds())

    assert problems == ()
    # Who hears of a broadcast is said each time, by whoever writes it.
    assert {sender.kind for sender in senders} == set(catalogue.kinds()) - {"broadcast"}


def test_a_servers_own_notices_are_off_until_enabled():
    senders, _ = read_senders(Catalogue.shipped().sender_tables(), Catalogue.shipped().kinds())

    off = {sender.name for sender in senders if not sender.is_enabled}

    notices = {"server_up", "server_down", "failed_login", "new_user", "new_comment"}
    assert off == notices | {
        "new_group", "new_user_object", "new_comment_object", "object_changed",
    }  # fmt: skip


def test_a_later_folder_changes_single_keys_of_a_sender(write):
    catalogue = Catalogue.shipped([write({"senders.toml": "[new_user]\nenabled = true\n"})])

    table = catalogue.sender_tables()["new_user"]

    assert table["enabled"] is True
    assert table["recipients"] == ["admins"]


def test_an_unknown_kind_is_named_with_the_nearest_known_one():
    with pytest.raises(UnknownKindError, match="did you mean pull_request"):
        Catalogue.shipped().kind("pull_reqest")


def test_a_kind_file_is_read_with_all_its_keys(write):
    catalogue = Catalogue.shipped([write({"note/kind.toml": KIND, **WORDS})])

    kind = catalogue.kind("note")
    assert kind.mail_class is MailClass.REPORT
    assert kind.lifetime_s == 60
    assert kind.header_value == "app-note"
    assert kind.route_later
    assert not kind.from_actor
    assert kind.actor_name_in == "title"
    assert kind.subjects == ("{title}-{number}", "{title}")
    assert kind.subthread == "{subject}-{number}"
    assert kind.roles == ("readers", "author")
    assert kind.seeks == {
        "readers": Seek(mentions_in="words", except_in="old_words"),
        "author": Seek(name_in="title", full_name_in="title"),
    }
    assert kind.facts["title"] == Fact(type=FactType.LINE)
    assert kind.facts["at"] == Fact(type=FactType.MOMENT, is_required=False, description="When")
    assert kind.secrets == {"link"}
    sample = catalogue.sample("note")
    assert sample.facts["at"] == 1_767_225_600_000
    assert sample.people == {"readers": ("ben",)}


BROKEN = """
descripton = "typo"
class = "urgent"
lifetime_s = "1 day"
route_later = 1
from_actor = "no"
subject = 7
subthread = ["{title}"]
roles = "readers"
seek = { readers = "words", author = { name_in = 1, named_in = "x" } }

[facts]
title = "lin"
url = { typ = "link" }
flag = { type = "boolean", required = "no" }

[sample]
actr = "ann"
people = { readers = "ben" }
"""


def test_everything_wrong_in_a_kind_file_is_told_at_once(write):
    folder = write({"note/kind.toml": BROKEN, **WORDS})

    assert problems_of(folder) == [
        f"/note/kind.toml: {key}"
        for key in (
            "descripton",
            "subthread",
            "route_later",
            "from_actor",
            "subject",
            "class",
            "lifetime_s",
            "roles",
            "seek.readers",
            "seek.author.named_in",
            "seek.author.name_in",
            "sample.actr",
            "sample.people.readers",
            "facts.title",
            "facts.url.typ",
            "facts.url.type",
            "facts.flag.required",
        )
    ]


@pytest.mark.parametrize(
    ("kind_file", "where"),
    [
        ("[facts\n", "/note/kind.toml"),
        (
            '[facts]\nsubject = "line"\n[sample.facts]\nsubject = "x"',
            "/note/kind.toml: facts.subject",
        ),
        ('[facts]\nReset = "line"\n[sample.facts]\nReset = "x"', "/note/kind.toml: facts.Reset"),
        ('[facts]\ntitle = "line"\n', "/note/kind.toml: sample"),
        (
            '[facts]\ntitle = "line"\n[sample.facts]\ntitel = "x"',
            "/note/kind.toml: sample.facts.title",
        ),
        (
            '[sample.people]\nreaders = ["ann"]',
            "/note/kind.toml: sample.people.readers",
        ),
        (
            '[facts]\nat = "moment"\n[sample.facts]\nat = 2026-01-01T00:00:00',
            "/note/kind.toml: sample.facts.at",
        ),
    ],
    ids=["no toml", "taken name", "bad name", "no sample", "other fact", "role", "no zone"],
)
def test_what_does_not_fit_is_told_with_file_and_key(write, kind_file, where):
    assert where in problems_of(write({"note/kind.toml": kind_file, **WORDS}))


SEEKING = """
roles = ["author"]

[facts]
name = "line"
token = { type = "line", secret = true }
number = "integer"

[sample.facts]
name = "ann"
token = "x"
number = 7

"""


@pytest.mark.parametrize(
    ("seek", "where"),
    [
        ('[seek.writer]\nname_in = "name"', "seek.writer"),
        ("[seek.author]", "seek.author"),
        ('[seek.author]\nname_in = "nam"', "seek.author.name_in"),
        ('[seek.author]\nname_in = "number"', "seek.author.name_in"),
        ('[seek.author]\nmentions_in = "token"', "seek.author.mentions_in"),
        (
            '[seek.author]\nmentions_in = "name"\nfull_name_in = "name"',
            "seek.author.full_name_in",
        ),
        ('[seek.author]\nname_in = "name"\nexcept_in = "name"', "seek.author.except_in"),
    ],
    ids=["role", "nothing", "fact", "type", "secret", "name of nobody", "except of nothing"],
)
def test_people_are_looked_for_in_facts_that_can_name_them(write, seek, where):
    folder = write({"note/kind.toml": SEEKING + seek, **WORDS})

    assert problems_of(folder) == [f"/note/kind.toml: {where}"]


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ('actor_name_in = "nam"', "actor_name_in"),
        ('actor_name_in = "number"', "actor_name_in"),
        ('subject = "{nam}"', "subject"),
        ('subject = "notes"', "subject"),
        ('subject = ["{name}", "{token}"]', "subject"),
        ('subject = "{subject}"', "subject"),
        ('subthread = "{subject}-{token}"', "subthread"),
        ('subthread = "{subject}-{number!r}"', "subthread"),
    ],
    ids=[
        "unknown name", "no text", "unknown fact", "no fact", "secret", "subject of itself",
        "secret part", "format",
    ],
)  # fmt: skip
def test_what_a_header_takes_from_facts_is_known_and_no_secret(write, line, where):
    folder = write({"note/kind.toml": f"{line}\n{SEEKING}", **WORDS})

    assert problems_of(folder) == [f"/note/kind.toml: {where}"]


def test_one_pattern_needs_no_list(write):
    kind = f'subject = "{{name}}-{{number}}"\n{SEEKING}'
    catalogue = Catalogue.shipped([write({"note/kind.toml": kind, **WORDS})])

    assert catalogue.kind("note").subjects == ("{name}-{number}",)
    assert catalogue.kind("note").from_actor


def test_seek_that_is_no_table_is_told(write):
    folder = write({"note/kind.toml": 'seek = "author"', **WORDS})

    assert problems_of(folder) == ["/note/kind.toml: seek"]


@pytest.mark.parametrize(
    "name", ["Note", "my-note", "shipped", "nöte"], ids=["upper", "dash", "taken", "letters"]
)
def test_a_kinds_folder_has_a_kinds_name(write, name):
    folder = write({f"{name}/kind.toml": "", f"{name}/subject.txt": "x", f"{name}/text.txt": "x"})

    assert problems_of(folder) == [f"/{name}"]


def test_a_kind_needs_a_subject_and_words(write):
    folder = write({"note/kind.toml": "", "note/text.txt": "x", "memo/kind.toml": ""})

    assert problems_of(folder) == ["/memo", "/note"]


def test_a_misspelt_override_is_told_with_the_nearest_name(write):
    folder = write({"registraton/text.txt": "x"})

    with pytest.raises(SettingsError, match="did you mean registration"):
        Catalogue.shipped().add_folder(folder)


def test_nothing_of_a_folder_with_a_problem_is_registered(write):
    catalogue = Catalogue.shipped()
    folder = write({"note/kind.toml": KIND, **WORDS, "memo/kind.toml": "x = ["})

    problems_of(folder, catalogue)

    assert "note" not in catalogue.kinds()
    assert "note" not in catalogue.templates()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    assert problems_of(tmp_path / "nope", Catalogue()) == [""]


@pytest.mark.parametrize(
    ("text", "where"),
    [("[x", "/senders.toml"), ("x = 1", "/senders.toml: x")],
    ids=["no toml", "no table"],
)
def test_a_senders_file_that_cannot_be_read_is_told(write, text, where):
    assert problems_of(write({"senders.toml": text})) == [where]


def test_a_single_file_overrides_that_part_of_a_shipped_kind(write):
    templates = Templates(
        Catalogue.shipped([write({"registration/subject.txt": "Hello {{ username }}"})])
    )

    words = templates.prove("registration")

    assert words.subject == "Hello eve"
    assert "New user registration" in words.text
    assert "View user profile" in words.html


def test_the_last_folder_wins(tmp_path):
    folders = []
    for name in ("one", "two"):
        (tmp_path / name / "registration").mkdir(parents=True)
        (tmp_path / name / "registration" / "subject.txt").write_text(name)
        folders.append(tmp_path / name)

    assert Templates(Catalogue.shipped(folders)).prove("registration").subject == "two"


def test_a_kind_defined_anew_brings_all_its_words(write):
    files = {
        "message/kind.toml": KIND,
        "message/subject.txt": "x",
        "message/text.txt": "{{ title }}",
    }
    catalogue = Catalogue.shipped([write(files)])

    words = Templates(catalogue).prove("message")

    assert words.text == "Hello\n"
    assert words.html == ""  # the shipped one was written for other facts


def test_a_kinds_schema_can_be_changed_and_its_words_kept(write):
    shipped = (SHIPPED_FOLDER / "message" / "kind.toml").read_text()
    files = {"message/kind.toml": f"lifetime_s = 60\n{shipped}"}
    catalogue = Catalogue.shipped([write(files)])

    assert catalogue.kind("message").lifetime_s == 60
    assert "From 8 to 10" in Templates(catalogue).prove("message").text


def test_a_kind_made_in_python_finds_its_words_in_its_folder(write):
    folder = write(WORDS) / "note"
    catalogue = Catalogue.shipped()
    catalogue.add(
        Kind(
            name="memo",
            facts={"title": Fact(type=FactType.LINE)},
            folder=str(folder),
            sample={"facts": {"title": "From Python"}},
        )
    )

    assert Templates(catalogue).prove("memo").text == "From Python\n"


def test_a_kind_made_in_python_is_checked_like_a_file():
    with pytest.raises(SettingsError, match=r"facts\.actor"):
        Catalogue().add(Kind(name="memo", facts={"actor": Fact()}))


def test_a_template_of_its_own_name_serves_a_senders_template_key(write):
    files = {"short_note/subject.txt": "Short", "short_note/text.txt": "{{ title }}"}
    catalogue = Catalogue.shipped([write(files)])

    words = Templates(catalogue).render("short_note", "en", "UTC", {"title": "x"})

    assert (words.subject, words.text) == ("Short", "x\n")


def test_an_unknown_template_is_named_with_the_nearest_known_one():
    with pytest.raises(TemplateError, match="did you mean registration"):
        Catalogue.shipped().part("registraton", "text.txt")


@pytest.mark.parametrize(
    "name",
    [
        "../x.txt",
        "note/../../x.txt",
        "/etc/passwd",
        "note//text.txt",
        "note/.hidden",
        "a\x00b",
        "note/te xt",
        "shipped/../catalogue.py",
        "",
    ],
)
def test_a_name_never_leaves_the_folders(write, name):
    folder = write({"kinds/note/kind.toml": KIND, "kinds/note/.hidden": "x", "x.txt": "secret"})
    for part, text in WORDS.items():
        (folder / "kinds" / part).write_text(text)

    assert Catalogue.shipped([folder / "kinds"]).find(name) is None


def test_a_link_out_of_the_folder_is_no_template(write):
    folder = write({"kinds/registration/subject.txt": "x", "outside.txt": "secret"})
    (folder / "kinds" / "registration" / "text.txt").symlink_to(folder / "outside.txt")

    found = Catalogue.shipped([folder / "kinds"]).part("registration", "text.txt")

    assert found == SHIPPED_FOLDER / "registration" / "text.txt"
