"""Who hears of what in a place that keeps its users in Kallithea's tables, situation by situation.

The users: two administrators, of whom one has no address, five others, and one who left.
"""

import pytest

from envoi import Event
from envoi.outbox.explain import explain_event
from tests.kallithea.schema import KallitheaUser, make_kallithea_db

USERS = (
    KallitheaUser("root", "root@x.test", is_admin=True),
    KallitheaUser("toor", None, is_admin=True),
    KallitheaUser(
        "ann", "ann@x.test", extra=("ann.lee@old.test",), firstname="Ann", lastname="Lee"
    ),
    KallitheaUser("ben", "ben@x.test"),
    KallitheaUser("cleo", "cleo@x.test"),
    KallitheaUser("dan", "dan@x.test"),
    KallitheaUser("eve", "eve@x.test"),
    KallitheaUser("gone", "gone@x.test", is_active=False),
)


@pytest.fixture
def mailer(make_mailer, tmp_path):
    """A mailer whose people are Kallithea's."""
    url = f"sqlite:///{tmp_path / 'kallithea.db'}"
    make_kallithea_db(url, USERS)
    return make_mailer(
        directory={"kind": "kallithea", "url": url},
        application={"fallback": ["ops@x.test", "ROOT@x.test"]},
    )


def told(mailer, event):
    """Hand an event over; return the senders with the names at x.test whom they told."""
    receipt = mailer.notify(event)
    found = explained(mailer, receipt)
    senders: dict[str, set[str]] = {}
    for chosen in found.chosen:
        name = chosen.address.removesuffix("@x.test")
        senders.setdefault(chosen.sender, set()).add(name)
    return senders


def explained(mailer, receipt):
    with mailer.parts.outbox.reading() as tx:
        return explain_event(tx, str(receipt.event_id))


def said(mailer, kind, facts=None, **changes):
    """An event of a kind with the facts of its sample and other people."""
    sample = mailer.parts.catalogue.sample(kind)
    people = changes.pop("people", {})
    actor = changes.pop("actor", "")
    return Event(
        kind=kind, actor=actor, people=people, facts={**sample.facts, **(facts or {})}, **changes
    )


PLAIN = {"comment": "Looks good.", "author": "nobody"}
INVITED = {"description": "", "earlier_description": ""}
STANDS_IN = {"root", "ops"}


@pytest.mark.parametrize(
    ("kind", "facts", "people", "actor", "expected"),
    [
        ("registration", {}, {"user": ("new",)}, "new", {"registration": {"root"}}),
        (
            "cs_comment",
            {**PLAIN, "author": "Ann Lee <ann@x.test>"},
            {"commenters": ("ben", "cleo")},
            "cleo",
            {"cs_comment": {"ann", "ben"}},
        ),
        (
            "cs_comment",
            {**PLAIN, "author": "A. L. <Ann.Lee@OLD.test>"},
            {"commenters": ()},
            "cleo",
            {"cs_comment": {"ann"}},
        ),
        ("cs_comment", {**PLAIN, "author": "ANN"}, {}, "cleo", {"cs_comment": {"ann"}}),
        (
            "cs_comment",
            {**PLAIN, "author": "Who <who@else.test>"},
            {"owner": ("dan",), "commenters": ("ben",)},
            "cleo",
            {"cs_comment": {"ben", "dan"}},
        ),
        (
            "cs_comment",
            {**PLAIN, "author": "Ann Lee <ann@x.test>"},
            {"owner": ("dan",)},
            "cleo",
            {"cs_comment": {"ann"}},
        ),
        (
            "cs_comment",
            {"author": "ann", "comment": "", "status_change": "approved"},
            {"commenters": ("ben",)},
            "cleo",
            {"cs_comment": {"ann", "ben"}},
        ),
        (
            "cs_comment",
            {"author": "ann", "comment": "@ANN, @dan and @cleo: see @gone, @default or @nobody."},
            {"commenters": ("ben",)},
            "cleo",
            {"cs_comment": {"ann", "ben"}, "cs_comment_mentioned": {"dan"}},
        ),
        ("cs_comment", {**PLAIN, "author": "cleo"}, {"commenters": ("cleo",)}, "cleo", {}),
        (
            "pull_request",
            INVITED,
            {"reviewers": ("ben", "cleo"), "owner": ("ann",)},
            "ann",
            {"pull_request": {"ben", "cleo"}},
        ),
        (
            "pull_request",
            {**INVITED, "description": "@dan, @ben"},
            {"reviewers": ("ben",), "owner": ("ann",)},
            "ann",
            {"pull_request": {"ben"}, "pull_request_mentioned": {"dan"}},
        ),
        ("pull_request", INVITED, {"owner": ("ann",)}, "ann", {}),
        (
            "pull_request",
            INVITED,
            {"reviewers": ("dan",), "owner": ("ann",)},
            "root",
            {"pull_request": {"dan"}, "pull_request_owner": {"ann"}},
        ),
        (
            "pull_request",
            {"description": "@dan, @ben", "earlier_description": "@DAN"},
            {"owner": ("ann",)},
            "ann",
            {"pull_request_mentioned": {"ben"}},
        ),
        (
            "pull_request_comment",
            {"comment": "@eve: @ben says so"},
            {"commenters": ("cleo",), "owner": ("ann",), "reviewers": ("ben", "dan")},
            "dan",
            {
                "pull_request_comment": {"ann", "ben", "cleo"},
                "pull_request_comment_mentioned": {"eve"},
            },
        ),
        (
            "pull_request_comment",
            {"comment": "", "closing": True},
            {"owner": ("ann",), "reviewers": ("ben", "gone")},
            "ann",
            {"pull_request_comment": {"ben"}},
        ),
        (
            "cs_comment",
            {"author": "ann", "comment": "@dan and @eve"},
            {"commenters": ("ben",), "may_not_read": ("eve", "BEN@x.test")},
            "cleo",
            {"cs_comment": {"ann"}, "cs_comment_mentioned": {"dan"}},
        ),
        ("cs_comment", {**PLAIN, "author": ""}, {}, "cleo", {}),
        ("cs_comment", PLAIN, {}, "cleo", {"cs_comment": STANDS_IN}),
        ("cs_comment", PLAIN, {"owner": ("nobody",)}, "cleo", {"cs_comment": STANDS_IN}),
        ("cs_comment", PLAIN, {"commenters": ("cleo",)}, "cleo", {"cs_comment": STANDS_IN}),
        ("cs_comment", PLAIN, {"commenters": ("ben",)}, "cleo", {"cs_comment": {"ben"}}),
        ("cs_comment", PLAIN, {"owner": ("gone",)}, "cleo", {}),
        ("cs_comment", PLAIN, {"may_not_read": ("root",)}, "cleo", {"cs_comment": {"ops"}}),
        (
            "pull_request",
            {**INVITED, "description": "@dan"},
            {"reviewers": ("nobody",)},
            "ann",
            {"pull_request": STANDS_IN, "pull_request_mentioned": {"dan"}},
        ),
    ],
    ids=[
        "registration: administrators",
        "changeset: author by primary address, commenters, not the actor",
        "changeset: author by an extra address, at the primary one",
        "changeset: author by user name",
        "changeset: owner where the author is unknown",
        "changeset: not the owner where the author is known",
        "changeset: a vote alone",
        "changeset: mentioned apart, nobody twice",
        "changeset: nobody but the actor",
        "pull request: reviewers",
        "pull request: mentioned apart, nobody twice",
        "pull request: neither",
        "reviewers added by somebody else: they and the owner",
        "description edited: newly mentioned",
        "pull request comment: everybody who takes part, mentioned apart",
        "pull request closed: not who left",
        "who may not read it",
        "no author at all: nobody is concerned",
        "author unknown, no owner: fallback",
        "author and owner unknown: fallback",
        "author unknown, the actor alone commented: fallback",
        "author unknown, others commented: they",
        "owner who left: nobody",
        "fallback: not who may not read it",
        "reviewer unknown: fallback beside the mentioned",
    ],
)
def test_who_is_told(mailer, kind, facts, people, actor, expected):
    assert told(mailer, said(mailer, kind, facts, people=people, actor=actor)) == expected


def test_a_comment_shows_the_author_as_he_is_registered(mailer):
    facts = {"author": "A. L. <ann.lee@old.test>", "author_name": "", "comment": "Fine. @dan"}

    mailer.notify(said(mailer, "cs_comment", facts, actor="cleo"))

    with mailer.parts.outbox.reading() as tx:
        rows = tx.execute("SELECT subject, text FROM envoi_message ORDER BY id", {})
    assert all(str(subject).endswith(" by ann") for subject, _ in rows)
    assert all("old.test" not in str(text) for _, text in rows)
    assert ["mention" in str(text).partition("\n\n\n")[0].lower() for _, text in rows] == [
        False,
        True,
    ]


def test_a_comment_shows_no_address_of_an_author_whom_nobody_knows(mailer):
    facts = {"author": "Zoe <zoe@else.test>", "author_name": "", "comment": "Fine."}

    mailer.notify(said(mailer, "cs_comment", facts, people={"owner": ("dan",)}))

    with mailer.parts.outbox.reading() as tx:
        [(subject, text)] = tx.execute("SELECT subject, text FROM envoi_message", {})
    assert str(subject).endswith(" by Zoe")
    assert "zoe@else.test" not in str(text)


RESET = {"reset_url": "/reset?code=Geheim4711", "token": "Geheim4712"}


def routed(mailer):
    claim = mailer.parts.outbox.claim_event(mailer.parts.clock(), 60_000)
    for _ in mailer.walk.route(claim):
        pass


@pytest.mark.parametrize("kind", ["password_reset", "password_external"])
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ANN@X.TEST", ["ann@x.test"]),
        ("Ann.Lee@old.TEST", ["ann.lee@old.test"]),
        ("ann", ["ann@x.test"]),
        ("ann@else.test", []),
        ("gone@x.test", []),
        ("anonymous@kallithea-scm.org", []),
    ],
)
def test_password_mail_goes_to_the_stored_form_of_the_address_that_matched(
    mailer, caplog, kind, typed, expected
):
    facts = RESET if kind == "password_reset" else {}

    receipt = mailer.notify(said(mailer, kind, facts, people={"user": (typed,)}))
    noted = [record.getMessage() for record in caplog.records]
    routed(mailer)

    assert (receipt.stored.value, receipt.deliveries, receipt.skipped) == ("routing", 0, 0)
    assert receipt.because == ""
    assert noted == []
    found = explained(mailer, receipt)
    assert [chosen.address for chosen in found.chosen] == expected
    assert "Geheim" not in caplog.text


def test_nothing_at_the_default_level_tells_that_an_address_is_unknown(mailer, caplog):
    mailer.notify(said(mailer, "password_reset", RESET, people={"user": ("zoe@else.test",)}))
    routed(mailer)

    assert [r for r in caplog.records if r.levelname in {"WARNING", "ERROR"}] == []


def test_the_mail_that_confirms_a_new_password_goes_to_the_stored_form_as_well(mailer):
    event = said(mailer, "password_changed", people={"user": ("Ann.Lee@OLD.test",)})

    found = explained(mailer, mailer.notify(event))

    assert [chosen.address for chosen in found.chosen] == ["ann.lee@old.test"]
