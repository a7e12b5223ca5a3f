"""This room tells of the keys about who exists: whose users, and how they are asked for."""

import re
from pathlib import Path

from envoi.settings import places, readers
from envoi.settings.readers import MAX_CHARS, MisfitError, Reader, checked_text, texts
from envoi.settings.row import Row

# What our own statements would take for a parameter, in whichever of the drivers' styles.
_PARAMETER = re.compile(r"\?|(?<![:\w\\]):\w")


def _query(value: object, _folder: Path) -> str:
    if not isinstance(value, str) or len(value) > MAX_CHARS:
        raise MisfitError('write it in """ """' if isinstance(value, str) else "")
    checked_text(re.sub(r"[\n\t\r]", " ", value))
    text = value.strip().removesuffix(";").rstrip()
    if not re.match(r"(?i)(select|with)\b", text):
        raise MisfitError("it is only ever read")
    if ";" in text:
        raise MisfitError("one statement, without ;")
    if _PARAMETER.search(text):
        raise MisfitError("without ? and :name, which stand for parameters; write CAST(x AS y)")
    return text


def _attribute(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*(\.[0-9]+)*", text):
        raise MisfitError
    return text


def _ldap_filter(text: str) -> str:
    depth = 0
    for number, letter in enumerate(text, start=1):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0 or (depth == 0 and number < len(text)):
            raise MisfitError("one filter in ( ), as in (objectClass=person)")
    if depth or (text and not text.startswith("(")):
        raise MisfitError("one filter in ( ), as in (objectClass=person)")
    return text


_QUERY = Reader("a SELECT", _query)
_ATTRIBUTE = texts(_attribute, "the name of an LDAP attribute")
_FILTER = texts(_ldap_filter, "an LDAP filter")
_LINE = texts(str.strip, "a text on one line")
_URL = "sqlite:///FILE, postgresql://USER:PASSWORD@HOST/NAME, ldaps://HOST or ldap://HOST"

ROWS: tuple[Row, ...] = (
    Row(
        "directory.kind",
        readers.one_of(("own", "kallithea", "omero", "sql", "ldap"), {}),
        "Who exists: `own` is Envoi's own users and groups, `kallithea` the users of a Kallithea, "
        "`omero` those of an OMERO server, `sql` those of any other database, `ldap` those of an "
        "LDAP server. They are read and never written. With the wrong one nobody is found.",
    ),
    Row(
        "directory.url",
        readers.paths(places.directory_url, _URL),
        "The database or server that holds the users, where `kind` is not `own`. While it cannot "
        "be asked mail goes to administrators only.",
        is_secret=True,
    ),
    Row(
        "directory.users",
        _QUERY,
        "With kind `sql`: a SELECT of all users, inactive ones too, with the columns `id` (whole "
        "numbers), `login`, `first_name`, `last_name`, `email`, `is_active` and `is_admin`. "
        "Whoever it leaves out gets no mail.",
    ),
    Row(
        "directory.addresses",
        _QUERY,
        "With kind `sql`: a SELECT of `user_id` and `email` of addresses by which users are known "
        "besides the one that mail goes to. Empty: there are none.",
    ),
    Row(
        "directory.groups",
        _QUERY,
        "With kind `sql`: a SELECT of the `id` (whole numbers) and `name` of each group. Empty: "
        "there are no groups.",
    ),
    Row(
        "directory.members",
        _QUERY,
        "With kind `sql`: a SELECT of `group_id` and `user_id`, one row per membership. Empty: no "
        "group has members.",
    ),
    Row(
        "ldap.base",
        _LINE,
        "Below which entry users and groups are searched, e.g. `dc=example,dc=org`. Too low a one "
        "leaves people out, too high a one makes searches slow.",
    ),
    Row(
        "ldap.bind_dn",
        _LINE,
        "Who asks: the name of an entry that may read users and groups. Empty: nobody in "
        "particular, whom many servers show nothing.",
    ),
    Row(
        "ldap.bind_password",
        readers.secrets(),
        "Its password; better in a file of its own: `bind_password_file`. With a wrong one mail "
        "goes to administrators only.",
        is_secret=True,
    ),
    Row(
        "ldap.starttls",
        readers.booleans(),
        "Whether a conversation with ldap:// is encrypted before anything is said. With false "
        "password and people cross the network in clear. Not asked of ldaps://, which is.",
    ),
    Row(
        "ldap.ca_file",
        readers.paths(places.existing_file, "a PEM file that is there"),
        "Authorities to trust instead of the system's: one file for a private authority.",
        otherwise="the system's authorities",
    ),
    Row(
        "ldap.users",
        _FILTER,
        "Which entries are users, inactive ones too. Whoever it leaves out gets no mail.",
    ),
    Row(
        "ldap.inactive",
        _FILTER,
        "Which of the users are inactive and get no mail, e.g. `(nsAccountLock=TRUE)`. Empty: all "
        "are active.",
    ),
    Row(
        "ldap.id",
        _ATTRIBUTE,
        "The attribute by which a user is known for ever: what is stored about his mail names it. "
        "When it changes he is somebody else.",
    ),
    Row("ldap.login", _ATTRIBUTE, "The attribute with the login. Who has none is no user."),
    Row("ldap.first_name", _ATTRIBUTE, "The attribute with the given name. Empty: not told."),
    Row("ldap.last_name", _ATTRIBUTE, "The attribute with the family name. Empty: not told."),
    Row(
        "ldap.email",
        _ATTRIBUTE,
        "The attribute with the address that mail goes to. Of several values mail goes to the "
        "first that the server tells; users are known by all of them.",
    ),
    Row(
        "ldap.extra_email",
        _ATTRIBUTE,
        "A further attribute with addresses by which users are known. Empty: there is none.",
    ),
    Row("ldap.groups", _FILTER, "Which entries are groups."),
    Row("ldap.group_name", _ATTRIBUTE, "The attribute with a group's name."),
    Row(
        "ldap.members",
        readers.lists(_ATTRIBUTE, "a list of names of LDAP attributes"),
        "Attributes of a group that name its members, by the name of their entry or by login.",
    ),
    Row(
        "ldap.member_of",
        _ATTRIBUTE,
        "The attribute of a user that names his groups, e.g. `memberOf`; then the groups' own "
        "lists are not read. Needed for groups of more than 1,500 in Active Directory. Empty: the "
        "groups' lists are read.",
    ),
    Row(
        "ldap.admins",
        _LINE,
        "Name of the group whose members are administrators. Empty: the directory knows none, "
        "and only `application.admins` are.",
    ),
    Row(
        "ldap.cache_s",
        readers.integers(0, 3600),
        "How long a list of all users may be used again. Short asks the server for everybody for "
        "each part of a large mailing; long mails people who have left meanwhile. Whom an event "
        "names is always asked for anew.",
    ),
)
