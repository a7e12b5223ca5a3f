"""Who hears of an event and who does not, each with the reason."""

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.condition import Condition, Operator
from envoi.core.event import Event
from envoi.core.people import Address, outsider
from envoi.core.routing import (
    Audience,
    Because,
    Candidate,
    Chain,
    Selector,
    SelectorType,
    Sender,
    Why,
    pick_recipients,
    pick_senders,
    read_choice,
)
from tests.core.samples import person, role

REVIEWERS, OWNER, ACTOR = role("reviewers"), role("owner"), role("actor")
NO_READERS = role("may_not_read")
UNREADABLE: dict[str, bool] = {}
ADMINS = Selector(SelectorType.ADMINS)


def sender(name="review", *recipients, **changes) -> Sender:
    return Sender(name=name, kind="pull_request", recipients=recipients or (REVIEWERS,), **changes)


def found(who, *by) -> Candidate:
    return Candidate(person=who, found_by=frozenset(by or (REVIEWERS,)))


def audience(*candidates, actor=None, unknown=MappingProxyType({})) -> Audience:
    answered = {selector for candidate in candidates for selector in candidate.found_by}
    return Audience(
        candidates=candidates, actor=actor, unknown=unknown, answered=frozenset(answered)
    )


def chosen(recipients):
    return [(r.person.login, str(r.because)) for r in recipients]


def passed_over(skipped):
    return [(s.person.login, str(s.because)) for s in skipped]


def test_three_reviewers_one_without_address_one_inactive_and_the_actor_among_them():
    """The case that the issue names."""
    ann = person("ann")
    bob = person("bob", address=None)
    cyd = person("cyd", is_active=False)
    dora = person("dora")

    recipients, skipped = pick_recipients(
        audience(found(ann), found(bob), found(cyd), found(dora), actor=dora), [sender()]
    )

    assert chosen(recipients) == [("ann", "is named by the event as reviewers")]
    assert passed_over(skipped) == [
        ("bob", "has no address"),
        ("cyd", "is inactive"),
        ("dora", "did it and is not told of it"),
    ]


@pytest.mark.parametrize(
    ("who", "rule", "because"),
    [
        ({}, UNREADABLE, "may not read what it is about"),
        ({}, {}, "did it and is not told of it"),
        ({}, {"tells_actor": True}, "is excluded by role:owner"),
        ({}, {"tells_actor": True, "exclude": ()}, "is inactive"),
        ({}, {"tells_actor": True, "exclude": (), "tells_inactive": True}, "has no address"),
        (
            {"unusable_address": "a@"},
            {"tells_actor": True, "exclude": (), "tells_inactive": True},
            "has an unusable address: a@",
        ),
    ],
    ids=["may not read", "actor", "excluded", "inactive", "no address", "unusable address"],
)
def test_reasons_are_judged_in_one_order(who, rule, because):
    against = person("x", **{"address": None, "is_active": False, **who})
    found_by = (REVIEWERS, OWNER, NO_READERS) if rule is UNREADABLE else (REVIEWERS, OWNER)
    rules = sender(**{"exclude": (OWNER,), **rule})

    _, skipped = pick_recipients(audience(found(against, *found_by), actor=against), [rules])

    assert passed_over(skipped) == [("x", because)]


@pytest.mark.parametrize(
    ("rule", "changes"),
    [({"tells_actor": True}, {}), ({"tells_inactive": True}, {"is_active": False})],
)
def test_a_sender_may_tell_the_actor_and_the_inactive(rule, changes):
    ann = person("ann", **changes)
    actor = ann if "tells_actor" in rule else None

    recipients, skipped = pick_recipients(audience(found(ann), actor=actor), [sender(**rule)])

    assert chosen(recipients) == [("ann", "is named by the event as reviewers")]
    assert skipped == ()


def test_the_first_selector_that_finds_a_person_is_the_reason():
    group = Selector(SelectorType.GROUP, "developers")
    rules = sender("s", group, REVIEWERS, ADMINS)

    recipients, _ = pick_recipients(
        audience(
            found(person("ann"), ADMINS, REVIEWERS),
            found(person("bob"), ADMINS),
            found(person("cyd"), ADMINS, group),
        ),
        [rules],
    )

    assert chosen(recipients) == [
        ("ann", "is named by the event as reviewers"),
        ("bob", "is an administrator"),
        ("cyd", "is a member of group developers"),
    ]


def test_who_is_found_by_an_exclusion_only_was_never_considered():
    assert pick_recipients(audience(found(person("ann"), OWNER)), [sender(exclude=(OWNER,))]) == (
        (),
        (),
    )


def test_an_exclusion_that_did_not_find_a_person_does_not_touch_him():
    recipients, _ = pick_recipients(audience(found(person("ann"))), [sender(exclude=(OWNER,))])

    assert chosen(recipients) == [("ann", "is named by the event as reviewers")]


def test_the_first_sender_tells_a_person_and_the_second_does_not():
    senders = [sender("first"), sender("second", OWNER, REVIEWERS)]

    recipients, skipped = pick_recipients(audience(found(person("ann"), REVIEWERS, OWNER)), senders)

    assert [(r.sender, r.person.login) for r in recipients] == [("first", "ann")]
    assert [(s.sender, str(s.because)) for s in skipped] == [
        ("second", "was told already by sender first")
    ]


def test_a_person_whom_the_first_sender_skips_may_hear_from_the_second():
    ann = person("ann", is_active=False)

    recipients, skipped = pick_recipients(
        audience(found(ann)), [sender("first"), sender("second", tells_inactive=True)]
    )

    assert [r.sender for r in recipients] == ["second"]
    assert [s.sender for s in skipped] == ["first"]


def test_two_persons_with_one_address_get_one_mail():
    shared = Address("team", "example.org")

    recipients, skipped = pick_recipients(
        audience(found(person("ann", address=shared)), found(person("bob", address=shared))),
        [sender()],
    )

    assert [r.person.login for r in recipients] == ["ann"]
    assert passed_over(skipped) == [("bob", "has the same address as ann, who is told")]


def test_an_address_told_in_an_earlier_part_of_the_audience_is_not_told_again():
    recipients, skipped = pick_recipients(
        audience(found(person("bob"))), [sender()], {"bob@example.org": "ann"}
    )

    assert recipients == ()
    assert passed_over(skipped) == [("bob", "has the same address as ann, who is told")]


def test_an_outsider_is_told_by_address():
    ops = Address("ops", "example.org")
    selector = Selector(SelectorType.ADDRESS, str(ops))

    recipients, _ = pick_recipients(
        audience(found(outsider(ops), selector)), [sender("s", selector)]
    )

    assert [(str(r.address), str(r.because)) for r in recipients] == [
        ("ops@example.org", "the sender names the address ops@example.org")
    ]


def test_an_outsider_who_did_it_is_not_told():
    ann = outsider(Address("ann", "example.net"))

    _, skipped = pick_recipients(audience(found(ann), actor=ann), [sender()])

    assert [str(s.because) for s in skipped] == ["did it and is not told of it"]


def test_a_name_that_nobody_answers_to_is_told_by_each_sender_that_asked():
    senders = [sender("review"), sender("owner", OWNER)]

    _, skipped = pick_recipients(audience(unknown={"ghost": frozenset({REVIEWERS})}), senders)

    assert [(s.sender, s.person.id, str(s.because)) for s in skipped] == [
        ("review", "unknown:ghost", "is not in the directory")
    ]


def test_everybody_considered_is_chosen_or_skipped_once_per_sender():
    people = [found(person(f"u{n}", is_active=n % 3 != 0), REVIEWERS, OWNER) for n in range(30)]
    senders = [sender("a"), sender("b", OWNER)]

    recipients, skipped = pick_recipients(audience(*people), senders)

    told = [(r.sender, r.person.id) for r in recipients]
    told += [(s.sender, s.person.id) for s in skipped]
    assert len(told) == len(set(told)) == 60


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ({"ann": REVIEWERS, "bob": OWNER}, [("ann", "is named by the event as reviewers")]),
        ({"bob": OWNER}, [("bob", "is named by the event as owner")]),
        ({"bob": OWNER, "cyd": ADMINS}, [("bob", "is named by the event as owner")]),
        ({"cyd": ADMINS}, [("cyd", "is an administrator")]),
        ({}, []),
    ],
    ids=["the first link", "the second", "not the third", "the third", "nobody"],
)
def test_of_a_chain_the_first_link_counts_that_finds_anybody(people, expected):
    chain = Chain((REVIEWERS, OWNER, ADMINS))
    candidates = [found(person(login), selector) for login, selector in people.items()]

    recipients, _ = pick_recipients(audience(*candidates), [sender("s", chain)])

    assert chosen(recipients) == expected


def test_a_chain_whose_first_link_found_only_the_actor_goes_no_further():
    ann = person("ann")

    recipients, skipped = pick_recipients(
        audience(found(ann, REVIEWERS), found(person("bob"), OWNER), actor=ann),
        [sender("s", Chain((REVIEWERS, OWNER)))],
    )

    assert recipients == ()
    assert passed_over(skipped) == [("ann", "did it and is not told of it")]


def test_a_name_that_is_unknown_is_told_only_of_the_links_that_were_tried():
    unknown = {"ghost": frozenset({REVIEWERS}), "gone": frozenset({ADMINS})}
    chain = Chain((REVIEWERS, OWNER, ADMINS))

    _, skipped = pick_recipients(
        audience(found(person("bob"), OWNER), unknown=unknown), [sender("s", chain)]
    )

    assert passed_over(skipped) == [("ghost", "is not in the directory")]


def test_who_may_not_read_it_is_told_by_no_sender():
    senders = [sender("a"), sender("b", OWNER, tells_actor=True, tells_inactive=True)]
    ann = found(person("ann"), REVIEWERS, OWNER, NO_READERS)

    recipients, skipped = pick_recipients(audience(ann), senders)

    assert recipients == ()
    assert passed_over(skipped) == [("ann", "may not read what it is about")] * 2


def test_who_is_named_only_as_one_who_may_not_read_was_never_considered():
    assert pick_recipients(audience(found(person("ann"), NO_READERS)), [sender()]) == ((), ())


EXTRA = Address("ann.extra", "example.org")


@pytest.mark.parametrize(
    ("rule", "matched", "primary", "expected"),
    [
        ({"to_matched_address": True}, EXTRA, Address("ann", "example.org"), str(EXTRA)),
        ({"to_matched_address": True}, EXTRA, None, str(EXTRA)),
        ({"to_matched_address": True}, None, Address("ann", "example.org"), "ann@example.org"),
        ({}, EXTRA, Address("ann", "example.org"), "ann@example.org"),
        ({}, EXTRA, None, ""),
    ],
    ids=["matched", "matched alone", "named by login", "another sender", "and without primary"],
)
def test_only_a_sender_that_says_so_writes_to_the_address_that_matched(
    rule, matched, primary, expected
):
    ann = Candidate(
        person=person("ann", address=primary), found_by=frozenset({REVIEWERS}), matched=matched
    )

    recipients, _ = pick_recipients(audience(ann), [sender(**rule)])

    assert [str(r.address) for r in recipients] == ([expected] if expected else [])


def test_what_somebody_typed_is_no_address_to_match():
    typed = outsider(Address("ann", "example.net"))

    recipients, skipped = pick_recipients(
        audience(found(typed)), [sender("reset", to_matched_address=True)]
    )

    assert recipients == ()
    assert [str(s.because) for s in skipped] == ["is not in the directory"]


MAILBOXES = [Address(name, "example.org") for name in "abc"]


@st.composite
def audiences(draw):
    """Some people, each found by some selectors, one of whom may be the actor."""
    logins = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=6))
    candidates = [
        Candidate(
            person=person(
                login,
                address=draw(st.sampled_from([None, *MAILBOXES])),
                is_active=draw(st.booleans()),
            ),
            found_by=frozenset(draw(st.sets(st.sampled_from([REVIEWERS, OWNER, NO_READERS])))),
            matched=draw(st.sampled_from([None, *MAILBOXES])),
        )
        for login in logins
    ]
    actor = draw(st.sampled_from([None, *(c.person for c in candidates)]))
    return audience(*candidates, actor=actor)


CHOICES = [REVIEWERS, OWNER, Chain((OWNER, REVIEWERS)), Chain((REVIEWERS, OWNER))]
rule_values = st.builds(
    sender,
    st.uuids().map(str),
    st.sampled_from(CHOICES),
    tells_actor=st.booleans(),
    tells_inactive=st.booleans(),
    to_matched_address=st.booleans(),
    exclude=st.sampled_from([(), (OWNER,)]),
)


@given(audiences(), st.lists(rule_values, max_size=3))
def test_whatever_the_rules_each_is_told_once_and_nobody_who_must_not_be(asked, senders):
    recipients, skipped = pick_recipients(asked, senders)

    assert len({r.address for r in recipients}) == len(recipients)
    assert len({r.person.id for r in recipients}) == len(recipients)
    found_by = {c.person.id: c.found_by for c in asked.candidates}
    rules = {s.name: s for s in senders}
    for one in recipients:
        rule = rules[one.sender]
        assert NO_READERS not in found_by[one.person.id]
        assert found_by[one.person.id].isdisjoint(rule.exclude)
        assert one.person.is_active or rule.tells_inactive
        assert asked.actor is None or one.person.id != asked.actor.id or rule.tells_actor
    judged = [(r.sender, r.person.id) for r in recipients]
    judged += [(s.sender, s.person.id) for s in skipped]
    assert len(judged) == len(set(judged))


PULL = Event(kind="pull_request", actor="ann", facts={"state": "open"}, people={
    "reviewers": ("bob", "cyd"), "owner": (),
})  # fmt: skip
OPEN = Condition(fact="state", operator=Operator.IN, value=["open"])
SMALL = Condition(fact="size", operator=Operator.AT_MOST, value=9)


@pytest.mark.parametrize(
    ("rule", "speaks"),
    [
        (sender(), True),
        (sender(is_enabled=False), False),
        (sender(when=(OPEN,)), True),
        (sender(when=(OPEN, SMALL)), False),
        (Sender(name="x", kind="comment", recipients=(REVIEWERS,)), False),
    ],
    ids=["always", "switched off", "its condition holds", "one does not hold", "other kind"],
)
def test_a_sender_speaks_when_all_of_it_fits(rule, speaks):
    assert pick_senders(PULL, [rule]) == ((rule,) if speaks else ())


def test_senders_speak_in_their_order():
    names = ["z", "a", "m"]

    assert [s.name for s in pick_senders(PULL, map(sender, names))] == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("admins", ADMINS),
        ("everyone", Selector(SelectorType.EVERYONE)),
        ("role:reviewers", REVIEWERS),
        (" role : reviewers ", REVIEWERS),
        ("user:ann", Selector(SelectorType.USER, "ann")),
        ("user:a:b", Selector(SelectorType.USER, "a:b")),
        ("group:Dev Team", Selector(SelectorType.GROUP, "Dev Team")),
        ("ops@example.org", Selector(SelectorType.ADDRESS, "ops@example.org")),
        ("address:ops@example.org", Selector(SelectorType.ADDRESS, "ops@example.org")),
    ],
)
def test_a_selector_is_read(text, expected):
    assert Selector.parse(text) == expected
    assert Selector.parse(str(expected)) == expected


def test_a_chain_is_read_and_shown():
    chain = read_choice(" role:reviewers | admins ")

    assert chain == Chain((REVIEWERS, ADMINS))
    assert str(chain) == "role:reviewers|admins"
    assert read_choice("admins") == ADMINS


@pytest.mark.parametrize("text", ["|", "admins|", "role:a||admins", "role:a|owner"])
def test_a_broken_chain_is_refused(text):
    with pytest.raises(ValueError, match="is no selector"):
        read_choice(text)


@pytest.mark.parametrize(
    "text",
    ["", "reviewers", "role", "role:", "user: ", "admins:x", "everyone:x", "team:x", "x:y@z"],
)
def test_anything_else_is_no_selector(text):
    with pytest.raises(ValueError, match="is no selector; expected admins, everyone, role:NAME"):
        Selector.parse(text)


@pytest.mark.parametrize("why", list(Why))
@pytest.mark.parametrize("detail", ["", "reviewers", "two words", "a {} b"])
def test_a_reason_is_read_back_and_has_a_sentence(why, detail):
    because = Because(why, detail)

    assert Because.read(because.stored) == because
    assert str(because)


@pytest.mark.parametrize("selector_type", list(SelectorType))
def test_every_way_to_find_people_is_a_reason(selector_type):
    assert Why(selector_type.value)


def test_a_sender_uses_the_template_of_its_kind_unless_it_names_one():
    assert sender().template_name == "pull_request"
    assert sender(template="short").template_name == "short"
