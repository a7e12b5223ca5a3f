"""This room holds the statements that read people: plain SQL, one form for both engines.

Two rules keep them fast with a million users. Lists of values go in as `IN (:v0, ...)` of a few
fixed lengths, so that there are few different statements and each is prepared once. Pages go by
primary key: `application || ''` keeps SQLite, which guesses without statistics, from taking the
index on (application, login_key) and sorting everybody for each page.
"""

from collections.abc import Iterable, Iterator, Sequence

from envoi.directory.records import AddressRecord, GroupRecord, UserFilter, UserRecord
from envoi.directory.typed import login_key
from envoi.seams import Params, Row, Tx

# SQLite takes 32,766 parameters, PostgreSQL 65,535; beyond a few hundred nothing gets faster.
_LENGTHS = (1, 10, 100, 500)
_MARKS = {
    length: (f"({', '.join(f':v{n}' for n in range(length))})", [f"v{n}" for n in range(length)])
    for length in _LENGTHS
}


def in_lists(values: Iterable[object]) -> Iterator[tuple[str, dict[str, object]]]:
    """Part the values into lists for `IN`, each as its text and its parameters.

    >>> list(in_lists([3, 4]))[0][0]
    '(:v0, :v1, :v2, :v3, :v4, :v5, :v6, :v7, :v8, :v9)'
    """
    rest = list(values)
    while rest:
        part, rest = rest[: _LENGTHS[-1]], rest[_LENGTHS[-1] :]
        length = next(length for length in _LENGTHS if length >= len(part))
        padded = part + part[-1:] * (length - len(part))
        marks, names = _MARKS[length]
        yield marks, dict(zip(names, padded, strict=True))


def number(value: object) -> int:
    """Return a column that holds a number."""
    if not isinstance(value, int):
        raise TypeError(f"expected a number from the database, got {type(value).__name__}")
    return value


def rows_in(tx: Tx, sql: str, values: Iterable[object], **more: object) -> Iterator[Row]:
    """Run a statement that holds `{list}` where a list of values stands, in parts."""
    for marks, params in in_lists(values):
        yield from tx.execute(sql.replace("{list}", marks), {**params, **more})


def run_in(tx: Tx, sql: str, values: Iterable[object]) -> None:
    """Run a statement that returns nothing, with `{list}` as in `rows_in`."""
    for marks, params in in_lists(values):
        tx.execute(sql.replace("{list}", marks), params)


def _ids(rows: Iterable[Row]) -> list[int]:
    return [number(row[0]) for row in rows]


def ids_of_everyone(tx: Tx, application: str, after: int, limit: int) -> list[int]:
    """Return the next users of the application by id."""
    return _ids(tx.execute(_EVERYONE, {"application": application, "after": after, "limit": limit}))


_EVERYONE = """
SELECT id FROM envoi_user
WHERE id > :after AND application || '' = :application ORDER BY id LIMIT :limit
"""


def ids_of_admins(tx: Tx, application: str, after: int, limit: int) -> list[int]:
    """Return the next users with the admin flag by id."""
    return _ids(tx.execute(_ADMINS, {"application": application, "after": after, "limit": limit}))


_ADMINS = """
SELECT id FROM envoi_user
WHERE is_admin = 1 AND id > :after AND application || '' = :application ORDER BY id LIMIT :limit
"""


def ids_of_members(tx: Tx, group_id: int, after: int, limit: int) -> list[int]:
    """Return the next members of a group by id."""
    return _ids(tx.execute(_MEMBERS, {"group": group_id, "after": after, "limit": limit}))


_MEMBERS = """
SELECT user_id FROM envoi_membership
WHERE group_id = :group AND user_id > :after ORDER BY user_id LIMIT :limit
"""


def ids_by_login(tx: Tx, application: str, keys: Iterable[str]) -> dict[str, int]:
    """Return the user id behind each login key that somebody has."""
    rows = rows_in(tx, _BY_LOGIN, sorted(set(keys)), application=application)
    return {str(key): number(user_id) for key, user_id in rows}


_BY_LOGIN = """
SELECT login_key, id FROM envoi_user WHERE application = :application AND login_key IN {list}
"""


def ids_by_address(tx: Tx, application: str, keys: Iterable[str]) -> dict[str, list[int]]:
    """Return the ids of the users who registered each address, whose primary it is first."""
    found = holders_by_address(tx, application, keys)
    return {key: [user_id for user_id, _ in holders] for key, holders in found.items()}


def holders_by_address(
    tx: Tx, application: str, keys: Iterable[str]
) -> dict[str, list[tuple[int, str]]]:
    """Return who registered each address: ids with the stored text, whose primary it is first."""
    rows = rows_in(tx, _BY_ADDRESS, sorted(set(keys)), application=application)
    ranked = sorted(
        (str(key), 1 - number(first), number(i), str(text)) for key, i, first, text in rows
    )
    found: dict[str, dict[int, str]] = {}
    for key, _, user_id, text in ranked:
        found.setdefault(key, {}).setdefault(user_id, text)
    return {key: list(holders.items()) for key, holders in found.items()}


_BY_ADDRESS = """
SELECT a.address_key, a.user_id, a.is_primary, a.address
FROM envoi_user_address a JOIN envoi_user u ON u.id = a.user_id
WHERE a.address_key IN {list} AND u.application = :application
"""


def group_ids(tx: Tx, application: str, keys: Iterable[str]) -> dict[str, int]:
    """Return the group id behind each group key that exists."""
    rows = rows_in(tx, _GROUPS_BY_NAME, sorted(set(keys)), application=application)
    return {str(key): number(group_id) for key, group_id in rows}


_GROUPS_BY_NAME = """
SELECT name_key, id FROM envoi_group WHERE application = :application AND name_key IN {list}
"""


def count_everyone(tx: Tx, application: str) -> int:
    """Return how many users the application has."""
    sql = "SELECT COUNT(*) FROM envoi_user WHERE application = :application"
    return number(tx.execute(sql, {"application": application})[0][0])


def count_admins(tx: Tx, application: str) -> int:
    """Return how many users of the application have the admin flag."""
    sql = "SELECT COUNT(*) FROM envoi_user WHERE is_admin = 1 AND application || '' = :application"
    return number(tx.execute(sql, {"application": application})[0][0])


def count_members(tx: Tx, ids: Iterable[int]) -> int:
    """Return how many memberships these groups have together."""
    sql = "SELECT COUNT(*) FROM envoi_membership WHERE group_id IN {list}"
    return sum(number(row[0]) for row in rows_in(tx, sql, sorted(set(ids))))


def peopled_groups(tx: Tx, ids: Iterable[int]) -> set[int]:
    """Return those of these groups that have a member."""
    return {number(row[0]) for row in rows_in(tx, _PEOPLED, sorted(set(ids)))}


_PEOPLED = """
SELECT id FROM envoi_group g WHERE id IN {list}
AND EXISTS (SELECT 1 FROM envoi_membership m WHERE m.group_id = g.id)
"""


def people_rows(tx: Tx, ids: Sequence[int]) -> Iterator[tuple[Row, Row]]:
    """Return a user's own columns and those of his primary address, empty when he has none.

    Two statements instead of a join: PostgreSQL, while it has no statistics about a directory that
    was just imported, would compare every user of the page with every address.

    Args:
        tx: Where to read.
        ids: Of users, ascending. A page of everyone is dense and read as a range: a thousand
            parameters cost more than the rows.
    """
    wanted = frozenset(ids)
    primary = {row[0]: row[1:] for row in rows_of(tx, _PRIMARY_ADDRESSES, ids)}
    for row in rows_of(tx, _PEOPLE, ids):
        if row[0] in wanted:
            yield row, primary.get(row[0], ())


_PEOPLE = """
SELECT id, login, first_name, last_name, is_admin, is_active, locale, time_zone
FROM envoi_user WHERE id {which}
"""
_PRIMARY_ADDRESSES = """
SELECT user_id, address, problem FROM envoi_user_address WHERE is_primary = 1 AND user_id {which}
"""


def rows_of(tx: Tx, sql: str, ids: Sequence[int]) -> Iterable[Row]:
    """Run a statement that holds `{which}` behind a column of ids, which are ascending.

    Where they are dense it is asked for their range, so rows between them may come too.
    """
    if len(ids) > 1 and ids[-1] - ids[0] < 2 * len(ids):
        dense = sql.replace("{which}", "BETWEEN :low AND :high")
        return tx.execute(dense, {"low": ids[0], "high": ids[-1]})
    return rows_in(tx, sql.replace("{which}", "IN {list}"), ids)


def records(tx: Tx, ids: Sequence[int]) -> tuple[UserRecord, ...]:
    """Return the users with these ids that exist, by id, with addresses and groups."""
    addresses: dict[int, list[AddressRecord]] = {}
    for row in rows_in(tx, _ADDRESSES, ids):
        addresses.setdefault(number(row[0]), []).append(_address(row))
    groups: dict[int, list[str]] = {}
    for user_id, name in rows_in(tx, _GROUPS_OF, ids):
        groups.setdefault(number(user_id), []).append(str(name))
    users = {
        number(row[0]): _record(
            row, addresses.get(number(row[0]), []), groups.get(number(row[0]), [])
        )
        for row in rows_in(tx, _USERS, ids)
    }
    return tuple(users[user_id] for user_id in sorted(users))


_USERS = """
SELECT id, login, first_name, last_name, is_admin, is_active, locale, time_zone, created_at_ms
FROM envoi_user WHERE id IN {list}
"""
_ADDRESSES = """
SELECT user_id, id, address, address_key, is_primary, problem
FROM envoi_user_address WHERE user_id IN {list} ORDER BY user_id, is_primary DESC, id
"""
_GROUPS_OF = """
SELECT m.user_id, g.name FROM envoi_membership m JOIN envoi_group g ON g.id = m.group_id
WHERE m.user_id IN {list}
"""


def _address(row: Row) -> AddressRecord:
    _, _, text, key, is_primary, problem = row
    return AddressRecord(
        text=str(text), key=str(key), is_primary=bool(is_primary), problem=str(problem)
    )


def _record(row: Row, addresses: list[AddressRecord], groups: list[str]) -> UserRecord:
    user_id, login, first_name, last_name, is_admin, is_active, locale, time_zone, created = row
    return UserRecord(
        id=number(user_id),
        login=str(login),
        first_name=str(first_name),
        last_name=str(last_name),
        is_admin=bool(is_admin),
        is_active=bool(is_active),
        locale=str(locale),
        time_zone=str(time_zone),
        created_at_ms=number(created),
        addresses=tuple(addresses),
        groups=tuple(sorted(groups)),
    )


def are_users_of(tx: Tx, application: str, ids: Sequence[int]) -> bool:
    """Whether there are ids, and each is a user of this application."""
    sql = "SELECT id FROM envoi_user WHERE id IN {list} AND application = :application"
    rows = list(rows_in(tx, sql, ids, application=application))
    return bool(ids) and {number(row[0]) for row in rows} == set(ids)


def ids_matching(tx: Tx, application: str, which: UserFilter, after: int, limit: int) -> list[int]:
    """Return the next users that the filter lets through, by id."""
    wanted = dict(_conditions(which))
    sql = " AND ".join([_MATCHING, *wanted]) + " ORDER BY u.id LIMIT :limit"
    params: dict[str, object] = {"application": application, "after": after, "limit": limit}
    for more in wanted.values():
        params |= more
    return _ids(tx.execute(sql, params))


_MATCHING = (
    "SELECT u.id FROM envoi_user u WHERE u.id > :after AND u.application || '' = :application"
)
_REACHABLE = """EXISTS (SELECT 1 FROM envoi_user_address a
WHERE a.user_id = u.id AND a.is_primary = 1 AND a.problem = '')"""
_IN_GROUP = """EXISTS (SELECT 1 FROM envoi_membership m JOIN envoi_group g ON g.id = m.group_id
WHERE m.user_id = u.id AND g.name_key = :group_key)"""
_LIKE = """(u.login_key LIKE :text ESCAPE '!' OR LOWER(u.first_name) LIKE :text ESCAPE '!'
OR LOWER(u.last_name) LIKE :text ESCAPE '!' OR EXISTS (SELECT 1 FROM envoi_user_address a
WHERE a.user_id = u.id AND LOWER(a.address) LIKE :text ESCAPE '!'))"""


def _conditions(which: UserFilter) -> Iterator[tuple[str, Params]]:
    if which.text:
        yield _LIKE, {"text": like(which.text)}
    if which.group:
        yield _IN_GROUP, {"group_key": login_key(which.group)}
    if which.is_admin is not None:
        yield "u.is_admin = :is_admin", {"is_admin": int(which.is_admin)}
    if which.is_active is not None:
        yield "u.is_active = :is_active", {"is_active": int(which.is_active)}
    if which.is_reachable is not None:
        yield _REACHABLE if which.is_reachable else f"NOT {_REACHABLE}", {}


def like(text: str) -> str:
    """Return the pattern that finds the text anywhere, its own wildcards taken literally.

    >>> like("50%_Ann!")
    '%50!%!_ann!!%'
    """
    escaped = login_key(text)
    for wildcard in "!%_":
        escaped = escaped.replace(wildcard, f"!{wildcard}")
    return f"%{escaped}%"


def group_records(tx: Tx, application: str, name_key: str = "") -> tuple[GroupRecord, ...]:
    """Return the application's groups by name; the one of that key when one is given."""
    rows = tx.execute(
        _GROUPS.format(" AND g.name_key = :name_key" if name_key else ""),
        {"application": application, "name_key": name_key},
    )
    return tuple(
        GroupRecord(id=number(i), name=str(name), description=str(text), members=number(members))
        for i, name, text, members in rows
    )


_GROUPS = """
SELECT g.id, g.name, g.description,
  (SELECT COUNT(*) FROM envoi_membership m WHERE m.group_id = g.id)
FROM envoi_group g WHERE g.application = :application{} ORDER BY g.name_key
"""
