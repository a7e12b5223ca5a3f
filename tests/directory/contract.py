"""What every directory must answer, ours and those of hosts: run it over a directory of `WORLD`.

A test fills its directory with the people below, however that is done there, and calls
`audience_contract(directory, tx)`. Where a directory has no groups of its own or no extra
addresses, it is no full directory and cannot pass.
"""

from dataclasses import dataclass, replace

from envoi.core.people import Address
from envoi.core.routing import Audience, Question, Selector
from envoi.seams import Directory, Tx


@dataclass(frozen=True)
class Somebody:
    login: str
    addresses: tuple[str, ...] = ()  # the first is where mail goes
    groups: tuple[str, ...] = ()
    is_admin: bool = False
    is_active: bool = True
    is_unusable: bool = False  # the first address is kept though it is none


WORLD = (
    Somebody(
        "ann",
        ("ann@example.org", "ann@old.test", "hal@login.test"),
        ("developers",),
        is_admin=True,
    ),
    Somebody("bob", ("bob@example.org",), ("developers", "testers")),
    Somebody("Cleo", (), ("testers",)),
    Somebody("dan", ("dan at example.org", "dan@example.org"), ("developers",), is_unusable=True),
    Somebody("eve", ("eve@example.org",), is_active=False, is_admin=True),
    Somebody("fay", ("team@example.org",)),
    Somebody("gil", ("team@example.org",)),
    # Who has an address as login, and whose login is another one's address.
    Somebody("ann@login.test", ("lea@example.org",)),
    Somebody("hal@login.test"),
)
# A group without members, besides those of `WORLD`.
EMPTY_GROUP = "empty"
# What the directory is told besides: `bob@example.org` is registered, the other is nobody's.
ADMIN_ADDRESSES = (Address("bob", "example.org"), Address("root", "ops.test"))
LOGINS = tuple(one.login for one in WORLD)


def ask(*selectors: str, actor: str = "", **roles: tuple[str, ...]) -> Question:
    """The question that `core.routing.question` would put."""
    roles = {**roles, "actor": (actor,) if actor else ()}
    return Question(
        selectors=frozenset(Selector.parse(text) for text in selectors),
        references=frozenset(name for names in roles.values() for name in names),
        actor=actor,
        roles=roles,
    )


def found(audience: Audience) -> dict[str, set[str]]:
    """Who was found by which selectors."""
    return {c.person.label: {str(s) for s in c.found_by} for c in audience.candidates}


def pages(directory: Directory, tx: Tx, question: Question, limit: int) -> list[Audience]:
    """All pages of an audience."""
    taken = [directory.audience(tx, question, limit=limit)]
    while taken[-1].has_more:
        after = taken[-1].candidates[-1].person.id
        taken.append(directory.audience(tx, question, after=after, limit=limit))
    return taken


FINDS = {
    "role by login": (ask("role:r", r=("ann",)), {"ann": {"role:r"}}),
    "role by login, other case": (ask("role:r", r=("ANN", "cleo")), {"ann", "Cleo"}),
    "role by primary address": (ask("role:r", r=("ann@example.org",)), {"ann"}),
    "role by extra address": (ask("role:r", r=("Ann@OLD.test",)), {"ann"}),
    "role by a shared address": (ask("role:r", r=("team@example.org",)), {"fay", "gil"}),
    "role by an unregistered address": (
        ask("role:r", r=("x@y.test",)),
        {"x@y.test": {"role:r"}},
    ),
    "two roles": (ask("role:r", "role:s", r=("ann",), s=("ann",)), {"ann": {"role:r", "role:s"}}),
    "a role nobody asked for": (ask("role:r", r=(), s=("ann",)), {}),
    "the actor's role": (ask("role:actor", actor="bob"), {"bob"}),
    "user": (ask("user:bob"), {"bob": {"user:bob"}}),
    "user, other case": (ask("user:BOB"), {"bob": {"user:BOB"}}),
    "user by address is no user": (ask("user:bob@example.org"), {}),
    "group": (ask("group:developers"), {"ann", "bob", "dan"}),
    "group, other case": (ask("group:Testers"), {"bob", "Cleo"}),
    "two groups": (
        ask("group:developers", "group:testers"),
        {
            "ann": {"group:developers"},
            "bob": {"group:developers", "group:testers"},
            "Cleo": {"group:testers"},
            "dan": {"group:developers"},
        },
    ),
    "admins": (ask("admins"), {"ann", "bob", "eve", "root@ops.test"}),
    "everyone": (ask("everyone"), set(LOGINS)),
    "everyone and more": (
        ask("everyone", "user:bob", "x@y.test"),
        {**{one: {"everyone"} for one in LOGINS}, "bob": {"everyone", "user:bob"},
         "x@y.test": {"address:x@y.test"}},
    ),
    "registered address": (ask("ann@old.test"), {"ann": {"address:ann@old.test"}}),
    "one address, two spellings": (
        ask("address:x@y.test", "role:r", r=("X@Y.test",)),
        {"X@y.test": {"address:x@y.test", "role:r"}},
    ),
    "nothing": (ask(), {}),
}  # fmt: skip

# Guesses at who stands in a role, group by group, and the logins of those who are found.
SEEKS = {
    "by login": ((("ann",),), ["ann"]),
    "by login, other case": ((("CLEO",),), ["Cleo"]),
    "by primary address": ((("bob@example.org",),), ["bob"]),
    "by extra address, other case": ((("Ann@OLD.test",),), ["ann"]),
    "by a shared address": ((("team@example.org",),), ["fay", "gil"]),
    "an address that is a login": ((("ann@login.test",),), ["ann@login.test"]),
    "an address before a login": ((("hal@login.test",),), ["ann"]),
    "the first good guess only": ((("x@y.test", "nobody", "bob", "ann"),), ["bob"]),
    "several groups, in their order": ((("gil",), ("ann", "bob"), ("gil",)), ["gil", "ann"]),
    "an inactive user": ((("eve",),), ["eve"]),
    "nobody": ((("x@y.test", "nobody", "", "b\x00b"), ()), []),
    "no guess": ((), []),
}

# By which registered address somebody was named, as it is stored.
MATCHES = {
    "primary": (ask("role:r", r=("ANN@example.org",)), {"ann": "ann@example.org"}),
    "extra": (ask("role:r", r=("Ann@OLD.test",)), {"ann": "ann@old.test"}),
    "beside an unusable one": (ask("role:r", r=("dan@example.org",)), {"dan": "dan@example.org"}),
    "login": (ask("role:r", r=("ann",)), {"ann": None}),
    "user": (ask("user:ann"), {"ann": None}),
    "address that no event named": (ask("ann@old.test"), {"ann": None}),
    "outsider": (ask("role:r", r=("x@y.test",)), {"x@y.test": None}),
    "shared": (
        ask("role:r", r=("TEAM@example.org",)),
        {"fay": "team@example.org", "gil": "team@example.org"},
    ),
}

# Which selectors found somebody at all.
ANSWERS = {
    "role by login": (ask("role:r", r=("ann",)), {"role:r"}),
    "role by outsider": (ask("role:r", r=("x@y.test",)), {"role:r"}),
    "role of nobody": (ask("role:r", r=("nobody",)), set()),
    "empty role": (ask("role:r", r=()), set()),
    "user": (ask("user:bob", "user:nobody"), {"user:bob"}),
    "address": (ask("ann@old.test", "x@y.test"), {"address:ann@old.test", "address:x@y.test"}),
    "group": (ask("group:developers", "group:empty", "group:none"), {"group:developers"}),
    "neither everyone nor admins": (ask("everyone", "admins"), set()),
}

# Texts that name nobody, whatever they look like (RELIABILITY A16, A17).
UNKNOWN = {
    "login": "nobody",
    "broken address": "a..b@x.test",
    "long s": "bo\u017f",
    "NUL": "bo\x00b",
    "half a pair": "bo\ud800b",
    "a megabyte": "b" * 1_000_000,
    "statement": "'; DROP TABLE envoi_user; --",
    "wildcard": "bo%",
}
# Addresses that differ from a registered one in more than A-Z, and are somebody else's.
STRANGERS = ("b\u0131b@example.org", "\u017fam@example.org", "bob@ex\u00e4mple.org")


def audience_contract(directory: Directory, tx: Tx) -> None:
    """Hold a directory of `WORLD` to everything that routing relies on."""
    _finds_whom_it_should(directory, tx)
    _names_whom_it_does_not_know(directory, tx)
    _tells_persons_whole(directory, tx)
    _knows_the_actor(directory, tx)
    _seeks_users_only(directory, tx)
    _tells_the_address_that_matched(directory, tx)
    _tells_who_answered(directory, tx)
    _pages_without_gap_or_repetition(directory, tx)


def _finds_whom_it_should(directory: Directory, tx: Tx) -> None:
    for name, (question, expected) in FINDS.items():
        actual = found(directory.audience(tx, question, limit=100))

        assert (actual if isinstance(expected, dict) else set(actual)) == expected, name
        assert directory.count(tx, question) >= len(actual), name


def _names_whom_it_does_not_know(directory: Directory, tx: Tx) -> None:
    for name, text in UNKNOWN.items():
        audience = directory.audience(tx, ask("role:r", r=(text, "ann")), limit=100)

        assert list(found(audience)) == ["ann"], name
        assert [set(map(str, s)) for s in audience.unknown.values()] == [{"role:r"}], name
        [shown] = audience.unknown
        assert shown.isprintable(), name
        assert len(shown) <= 320, name
    for stranger in STRANGERS:
        audience = directory.audience(tx, ask("role:r", r=(stranger,)), limit=100)

        assert [c.person.login for c in audience.candidates] == [""], stranger
    audience = directory.audience(tx, ask("user:nobody", "group:none", "group:testers"), limit=9)
    assert {str(s) for found in audience.unknown.values() for s in found} == {
        "user:nobody",
        "group:none",
    }


def _tells_persons_whole(directory: Directory, tx: Tx) -> None:
    audience = directory.audience(tx, ask("everyone"), limit=100)
    people = {c.person.login: c.person for c in audience.candidates}

    assert str(people["ann"].address) == "ann@example.org"
    assert people["Cleo"].address is None
    assert people["Cleo"].unusable_address == ""
    assert people["dan"].address is None, "mail goes to the primary address or nowhere"
    assert people["dan"].unusable_address == "dan at example.org"
    assert {one.login for one in people.values() if one.is_admin} == {"ann", "eve"}
    assert {one.login for one in people.values() if not one.is_active} == {"eve"}


def _knows_the_actor(directory: Directory, tx: Tx) -> None:
    for actor, label in {"BOB": "bob", "ann@old.test": "ann", "x@y.test": "x@y.test"}.items():
        audience = directory.audience(tx, ask("user:ann", actor=actor), limit=100)

        assert audience.actor is not None, actor
        assert audience.actor.label == label
        assert list(found(audience)) == ["ann"]
    assert directory.audience(tx, ask("user:ann", actor="nobody"), limit=9).actor is None
    assert directory.audience(tx, ask("user:ann"), limit=9).actor is None


def _seeks_users_only(directory: Directory, tx: Tx) -> None:
    for name, (groups, logins) in SEEKS.items():
        question = replace(ask("role:r"), sought={"r": groups, "unheard": groups})
        audience = directory.audience(tx, question, limit=100)

        assert {role: [p.login for p in found] for role, found in audience.sought.items()} == {
            "r": logins,
            "unheard": logins,
        }, name
        assert found(audience) == {login: {"role:r"} for login in logins}, name
        assert audience.unknown == {}, name
        assert {str(s) for s in audience.answered} == ({"role:r"} if logins else set()), name


def _tells_the_address_that_matched(directory: Directory, tx: Tx) -> None:
    for name, (question, expected) in MATCHES.items():
        audience = directory.audience(tx, question, limit=100)
        matched = {c.person.label: c.matched and str(c.matched) for c in audience.candidates}

        assert matched == expected, name
    question = replace(ask("role:r"), sought={"r": (("Ann <x", "ANN@old.test"),)})
    [candidate] = directory.audience(tx, question, limit=9).candidates
    assert str(candidate.matched) == "ann@old.test"


def _tells_who_answered(directory: Directory, tx: Tx) -> None:
    for name, (question, expected) in ANSWERS.items():
        audience = directory.audience(tx, question, limit=100)

        assert {str(s) for s in audience.answered} == expected, name


def _pages_without_gap_or_repetition(directory: Directory, tx: Tx) -> None:
    questions = [question for question, _ in FINDS.values()]
    questions.append(ask("everyone", "admins", "x@y.test", "a@z.test", "user:nobody", actor="bob"))
    questions.append(replace(questions[-1], sought={"r": (("gil",), ("ann@old.test",))}))
    for question in questions:
        whole = directory.audience(tx, question, limit=100)
        ids = [candidate.person.id for candidate in whole.candidates]
        assert ids == sorted(set(ids))
        for limit in (1, 2, 3, len(ids) or 1):
            taken = pages(directory, tx, question, limit)

            assert [c for page in taken for c in page.candidates] == list(whole.candidates)
            assert all(len(page.candidates) <= limit for page in taken)
            assert {page.actor for page in taken} == {whole.actor}
            assert [page.answered for page in taken] == [whole.answered] * len(taken)
            assert [page.sought for page in taken] == [whole.sought] * len(taken)
            assert [page.unknown for page in taken] == [whole.unknown] + [{}] * (len(taken) - 1)
