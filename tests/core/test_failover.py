"""Who stands in for whom, and what a refusal by one that does is worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.delivery import (
    Delivery,
    Doubtful,
    Failed,
    Hold,
    Patience,
    Reply,
    Retry,
    Sent,
    Stage,
    Uncertain,
    Unreachable,
    Unsuitable,
    judge,
)
from envoi.core.failover import stand_in, wards, weakened
from envoi.core.kind import MailClass
from envoi.core.people import Address
from envoi.core.reason import Because, Why

NAMES = ("a", "b", "c", "d")
names = st.sampled_from(NAMES)
NOW = 1_000_000
DELIVERY = Delivery(
    id=1,
    address=Address("ann", "x.test"),
    person="ann",
    sender="s",
    because=Because(Why.USER, "ann"),
    mail_class=MailClass.NOTICE,
    due_at_ms=NOW,
    created_at_ms=NOW,
)


@given(
    failover=st.fixed_dictionaries({name: st.lists(names, unique=True) for name in NAMES}),
    paused=st.sets(names),
    served=st.sets(names),
)
def test_each_paused_relay_has_at_most_one_that_stands_in(failover, paused, served):
    found = {name: wards(name, failover, paused, served) for name in NAMES}
    of_all = [ward for lent in found.values() for ward in lent]

    assert len(of_all) == len(set(of_all))
    assert set(of_all) <= paused
    assert all(not found[name] for name in paused)
    assert all(name in served for name, lent in found.items() if lent)
    for ward in paused:
        assert (ward in of_all) == bool(stand_in(failover[ward], paused, served))


def test_the_first_choice_that_is_there_stands_in():
    behind = {"a": ["b", "c", "d"]}

    assert wards("c", behind, paused={"a", "b"}, served={"c", "d"}) == ("a",)
    assert wards("d", behind, paused={"a", "b"}, served={"c", "d"}) == ()


@pytest.mark.parametrize(
    "outcome",
    [
        Reply(stage=Stage.MAIL, code=550, text="5.7.1 not your address"),
        Reply(stage=Stage.RCPT, code=550, text="5.1.1 no such user"),
        Reply(stage=Stage.CONTENT, code=554, text="spam"),
        Unsuitable(because="the address needs SMTPUTF8"),
        Unsuitable(because="it is larger than its SIZE", is_final=True),
    ],
    ids=lambda outcome: str(outcome)[:40],
)
def test_nothing_is_failed_or_held_on_its_word(outcome):
    own = judge(DELIVERY, outcome, NOW, Patience(), 0)
    lent = judge(DELIVERY, weakened(outcome, "backup"), NOW, Patience(), 0)

    assert isinstance(own, Failed | Hold)
    assert isinstance(lent, Retry)
    assert lent.due_at_ms == NOW + 60_000
    assert lent.because.startswith("backup, which stood in, ")


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Reply(stage=Stage.CONTENT, code=250), Sent),
        (Reply(stage=Stage.RCPT, code=450), Retry),
        (Doubtful(because="cut"), Uncertain),
        (Unreachable(stage=Stage.DATA, because="cut", had_turn=True), Retry),
    ],
    ids=["sent", "later", "doubt", "cut"],
)
def test_what_is_no_refusal_counts_as_ever(outcome, verdict):
    assert weakened(outcome, "backup") == outcome
    assert isinstance(judge(DELIVERY, weakened(outcome, "b"), NOW, Patience(), 0), verdict)


def test_what_is_too_old_fails_by_its_age():
    refusal = weakened(Reply(stage=Stage.RCPT, code=550, text="no"), "backup")
    late_ms = NOW + Patience().give_up_after_ms

    verdict = judge(DELIVERY, refusal, late_ms, Patience(), 0)

    assert isinstance(verdict, Failed)
    assert verdict.because.startswith("given up, last answer: backup, which stood in, ")
