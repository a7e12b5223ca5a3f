"""This room says which senders the beans of OMERO's mail senders are, and by which names.

The names are those of OMERO's documentation. Where a bean asks a database whom to mail, the rule
that says the same is found for the queries that OMERO ships; any other query is refused, together
with the table to write instead, because nobody should be mailed by a guess.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from envoi.core.kind import Plain
from envoi.core.problem import Problem

# What OMERO puts before every subject unless told otherwise.
PREFIX = "[OMERO]"

COMMON = (
    "enabled", "subjectPrefix", "defaultBody", "executor", "queryService", "mailUtil", "roles",
)  # fmt: skip
FAILED_LOGIN = ("contactUser", "contactSystem", "onAllUsers", "onSpecificUsers")
OBJECT = ("objectClass", "action", "queryString")
# Properties by class, beside the common ones.
PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "ServerUpMailSender": (),
    "ServerDownMailSender": (),
    "FailedLoginMailSender": FAILED_LOGIN,
    "ObjectMailSender": OBJECT,
}

# Words for yes and no, as Spring reads them.
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
SWITCHES = ("contactUser", "contactSystem", "onAllUsers", "enabled")

# Names that the documentation uses, each for the senders that do the same here.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "ServerUpMailSender": ("server_up",),
    "ServerDownMailSender": ("server_down",),
    "FailedLoginMailSender": ("failed_login",),
    "ObjectMailSender": ("object_changed",),
    "newUserMailSender": ("new_user", "new_user_object"),
    "newGroupMailSender": ("new_group",),
    "newCommentMailSender": ("new_comment", "new_comment_object"),
}
# Of the mail that closes a limit too: filters look for the prefix.
PREFIXES: Mapping[str, Mapping[str, Plain]] = {
    name: {"prefix": PREFIX} for names in (*ALIASES.values(), ("held_back",)) for name in names
}
# It is among the settings wherever one of OMERO's properties about mail is.
MASTER_SWITCH = "omero.mail.config"
# The same class, as other applications call it.
_ALSO = {"Experimenter": "User", "ExperimenterGroup": "Group", "CommentAnnotation": "Comment"}
# Beside the sender for objects, the one of the kind that says more.
_BESIDE = {"Experimenter": "new_user", "CommentAnnotation": "new_comment"}

# Whom a query finds, by its words in small letters with single spaces.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"select (\w+) from experimentergroup \1 where \1\.id = :systemgroupid", "admins"),
        (r"select (\w+) from experimentergroup \1 where \1\.name = :systemgroup", "admins"),
        (r"select (\w+) from experimentergroup \1 where \1\.id = :usergroupid", "everyone"),
        (r"select (\w+) from experimentergroup \1 where \1\.name = :usergroup", "everyone"),
        (r"select (\w+) from experimenter \1 where \1\.id = :rootuserid", "user:root"),
        (r"select (\w+) from experimenter \1 where \1\.omename = :rootuser", "user:root"),
        (
            (
                r"select (\w+)\.details\.owner from imageannotationlink (\w+) "
                r"join \2\.parent as \1 join \2\.child as (\w+) where \3\.id = :id "
                r"and \3\.details\.owner\.id != \1\.details\.owner\.id"
            ),
            "role:owner",
        ),
    )
)

_Table = dict[str, Plain]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bean:
    """One mail sender of the file.

    Args:
        id: Its name there; may be empty.
        class_name: Its class without the package, one of `PROPERTIES`.
        properties: The texts of each property; one that refers to another bean has none.
    """

    id: str
    class_name: str
    properties: Mapping[str, tuple[str, ...]]

    def text(self, name: str, default: str = "") -> str:
        """Return the text of a property."""
        return " ".join(self.properties.get(name, (default,))).strip()

    def is_true(self, name: str, *, default: bool = False) -> bool:
        """Whether a property is `true`, or another word that Spring takes for it."""
        return self.text(name, str(default)).lower() in TRUE


def senders_named(name: str) -> tuple[str, ...]:
    """Return the senders that a name of OMERO's documentation stands for; none for another name.

    >>> senders_named("newUserMailSender"), senders_named("serverUpMailSender")
    (('new_user', 'new_user_object'), ('server_up',))
    """
    return ALIASES.get(name) or ALIASES.get(name[:1].upper() + name[1:], ())


def tables_of(bean: Bean, where: str) -> tuple[dict[str, _Table], list[Problem]]:
    """Return the senders' tables of a bean, or what is wrong with it.

    Args:
        bean: Its class and properties are known ones.
        where: File and bean, for problems.
    """
    tables, problems = _READERS[bean.class_name](bean, where)
    placeholders = [name for name in bean.properties if "${" in bean.text(name)]
    for name in placeholders:
        if name != "enabled":  # the master switch of the settings, which holds for all mail
            expected = "a text without ${...}"
            problems.append(
                Problem(where=f"{where}.{name}", expected=expected, got=bean.text(name))
            )
    for name in SWITCHES:
        word = bean.text(name, "false").lower()
        if word not in (*TRUE, *FALSE) and "${" not in word:
            problems.append(Problem(where=f"{where}.{name}", expected="true or false", got=word))
    if problems:
        return {}, problems
    shared: _Table = {"prefix": bean.text("subjectPrefix", PREFIX)}
    shared["enabled"] = bean.text("enabled", "true").lower() not in FALSE
    return {name: {**table, **shared} for name, table in tables.items()}, []


def _server(bean: Bean, _where: str) -> tuple[dict[str, _Table], list[Problem]]:
    return {senders_named(bean.class_name)[0]: {}}, []


def _failed_login(bean: Bean, where: str) -> tuple[dict[str, _Table], list[Problem]]:
    recipients: list[Plain] = []
    recipients += ["admins"] if bean.is_true("contactSystem") else []
    recipients += ["role:user"] if bean.is_true("contactUser") else []
    logins: list[Plain] = [
        login.strip()
        for text in bean.properties.get("onSpecificUsers", ())
        for login in text.split(",")
        if login.strip()
    ]
    problems: list[Problem] = []
    if not recipients:
        expected = "contactSystem or contactUser to be true"
        problems.append(
            Problem(where=where, expected=expected, got="neither: it would tell nobody")
        )
    if not logins and not bean.is_true("onAllUsers"):
        expected = "onAllUsers to be true, or login names in onSpecificUsers"
        problems.append(
            Problem(where=where, expected=expected, got="neither: it would never speak")
        )
    table: _Table = {
        "kind": "failed_login",
        "recipients": recipients,
        "needs": ["role:user"],
        "tells_actor": True,
        "when": {} if bean.is_true("onAllUsers") else {"username": logins},
    }
    known = senders_named(bean.id)
    return {known[0] if known else _name(bean): table}, problems


def _object(bean: Bean, where: str) -> tuple[dict[str, _Table], list[Problem]]:
    class_name = bean.text("objectClass").rpartition(".")[2]
    action = bean.text("action")
    problems = [
        Problem(where=f"{where}.{key}", expected=expected, got="nothing")
        for key, expected in (("objectClass", "a class"), ("action", "INSERT, UPDATE, DELETE ..."))
        if not bean.text(key)
    ]
    classes: list[Plain] = [class_name]
    classes += [_ALSO[class_name]] if class_name in _ALSO else []
    known = senders_named(bean.id)
    name = known[-1] if known else _name(bean)
    rule = rule_of(bean.text("queryString"))
    if not rule:
        problems.append(_unknown_query(bean, where, name))
    table: _Table = {
        "kind": "object_changed",
        "when": {"class_name": classes, "action": action},
        "recipients": [rule],
        # Whom a query finds, OMERO mails, the acting user too; owners alone are not told of what
        # they did themselves.
        "tells_actor": rule != "role:owner",
    }
    tables = {name: table}
    if class_name in _BESIDE and action == "INSERT":
        tables[_BESIDE[class_name]] = {key: table[key] for key in ("recipients", "tells_actor")}
    return tables, problems


def rule_of(query: str) -> str:
    """Return the recipient that a query finds; empty for a query that is not known.

    >>> rule_of("select g from ExperimenterGroup g where g.id = :systemGroupId")
    'admins'
    """
    words = " ".join(query.lower().split())
    return next((rule for pattern, rule in _RULES if pattern.fullmatch(words)), "")


def _unknown_query(bean: Bean, where: str, name: str) -> Problem:
    class_name = bean.text("objectClass").rpartition(".")[2]
    hint = (
        f'write in the settings: [senders.{name}] kind = "object_changed", '
        f'when = {{ class_name = "{class_name}", action = "{bean.text("action")}" }}, '
        'recipients = ["role:owner"] (or admins, everyone, user:LOGIN, group:NAME, an address)'
    )
    query = bean.text("queryString")
    got = f"{query[:80]!r}, which only a database of OMERO answers" if query else "nothing"
    expected = "one of the queries that OMERO ships"
    return Problem(where=f"{where}.queryString", expected=expected, got=got, hint=hint)


def _name(bean: Bean) -> str:
    plain = (bean.id or bean.class_name).removesuffix("MailSender") or bean.id
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", plain).lower()


_READERS: Mapping[str, Callable[[Bean, str], tuple[dict[str, _Table], list[Problem]]]] = {
    "ServerUpMailSender": _server,
    "ServerDownMailSender": _server,
    "FailedLoginMailSender": _failed_login,
    "ObjectMailSender": _object,
}
