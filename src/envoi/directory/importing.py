"""This room takes users in from a file: a stream of rows, stored in transactions of a thousand.

What a row says is how the user is afterwards; what it leaves out stays. Users are matched by
login, so the same file may be taken in again and again. Each transaction is stored as a whole or
not at all, and the report counts what was committed, so that "stopped at line 4,001" means that
everything before it is done and the file can simply be taken in again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import BinaryIO

from envoi.directory import statements, writing
from envoi.directory.import_rows import Broken, Columns, Found, Stopped, read_rows
from envoi.directory.import_users import ImportedUser, Judge
from envoi.directory.people import user_row
from envoi.directory.records import UserRecord
from envoi.directory.typed import login_key
from envoi.errors import OutboxError
from envoi.seams import Tx

# DESIGN 1: transactions of at most 1,000 rows, so that a busy application beside us never waits.
ROWS_PER_TRANSACTION = 1_000
# A wrong file may refuse each of a million rows; the counts are exact, the lists end here.
MAX_REPORTED = 10_000


@dataclass(frozen=True, slots=True)
class Unusable:
    """An address that was kept although it cannot be used."""

    line: int
    login: str
    text: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of a file; `rows == added + changed + unchanged + refused_count`.

    Args:
        is_dry_run: Whether nothing was stored and the counts say what would be.
        added: Users that are new.
        changed: Users of whom something is different now.
        unchanged: Users who were already as the file says.
        unusable: Addresses that were kept and cannot be used, the first 10,000.
        unusable_count: How many there are.
        refused: Rows that were not taken, the first 10,000.
        refused_count: How many there are.
        groups_added: Groups that did not exist before.
        ignored_columns: Names of columns that stand for nothing we know.
        stopped: Where and why the import ended early; None when it reached the end.
    """

    is_dry_run: bool = False
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    unusable: tuple[Unusable, ...] = ()
    unusable_count: int = 0
    refused: tuple[Broken, ...] = ()
    refused_count: int = 0
    groups_added: tuple[str, ...] = ()
    ignored_columns: tuple[str, ...] = ()
    stopped: Stopped | None = None

    @property
    def rows(self) -> int:
        """How many rows were dealt with."""
        return self.added + self.changed + self.unchanged + self.refused_count


def import_users(
    begin: Callable[[], AbstractContextManager[Tx]],
    application: str,
    source: BinaryIO,
    *,
    now_ms: int,
    progress: Callable[[int], None] = lambda _rows: None,
) -> ImportReport:
    """Take in users from CSV, a JSON array or JSON Lines.

    Args:
        begin: Opens a write transaction of our own, commits it at its end.
        application: Whose users they are.
        source: The file, opened for bytes; stays open.
        now_ms: The clock.
        progress: Is told after each transaction how many rows are dealt with.

    Returns:
        What became of the rows. A database that fails ends it and is reported as `stopped`.

    Raises:
        InputError: CSV without a header that has a login; nothing is stored.
    """
    tally = _Tally(progress=progress)
    return tally.counted(source, _Importer(begin, application, now_ms))


def rehearse_import(
    begin: Callable[[], AbstractContextManager[Tx]],
    application: str,
    source: BinaryIO,
    *,
    progress: Callable[[int], None] = lambda _rows: None,
) -> ImportReport:
    """Say what `import_users` would do, with the same report; stores nothing.

    Args:
        begin: Opens a transaction; one for reading is enough.
        application: Whose users they would be.
        source: The file, opened for bytes; stays open.
        progress: Is told after each thousand how many rows are dealt with.

    Raises:
        InputError: CSV without a header that has a login.
    """
    tally = _Tally(is_dry_run=True, progress=progress)
    return tally.counted(source, _Rehearsal(begin, application))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a thousand rows mean for the tables."""

    new: Sequence[UserRecord]
    changed: Sequence[tuple[UserRecord, UserRecord]]
    unchanged: int
    groups: dict[str, str]  # those that do not exist, by key


def _plan(tx: Tx, application: str, users: Sequence[ImportedUser]) -> _Plan:
    ids = statements.ids_by_login(tx, application, [user.key for user in users])
    found = statements.records(tx, list(ids.values()))
    before = {login_key(user.login): user for user in found}
    pairs = [(before.get(user.key, _NOBODY), user) for user in users]
    wanted = [(old, user.changed(old)) for old, user in pairs]
    # Of several spellings of a new group, the first is its name.
    names = {login_key(name): name for _, new in reversed(wanted) for name in new.groups}
    known = statements.group_ids(tx, application, names)
    return _Plan(
        new=[new for old, new in wanted if old is _NOBODY],
        changed=[(old, new) for old, new in wanted if old is not _NOBODY and old != new],
        unchanged=sum(old == new for old, new in wanted),
        groups={key: name for key, name in names.items() if key not in known},
    )


_NOBODY = UserRecord(id=0, login="")


@dataclass(frozen=True, slots=True)
class _Importer:
    """Stores what it plans."""

    begin: Callable[[], AbstractContextManager[Tx]]
    application: str
    now_ms: int

    def take(self, users: Sequence[ImportedUser]) -> _Plan:
        with self.begin() as tx:
            plan = _plan(tx, self.application, users)
            self._store(tx, plan)
        return plan

    def _store(self, tx: Tx, plan: _Plan) -> None:
        for key, name in plan.groups.items():
            row = {"application": self.application, "name": name, "name_key": key}
            writing.add_group_if_free(tx, {**row, "description": ""})
        self._add(tx, plan.new)
        rows = [user_row(self.application, new) for _, new in plan.changed]
        writing.update_users(tx, rows)
        readdressed = [new for old, new in plan.changed if old.addresses != new.addresses]
        writing.replace_addresses(tx, {user.id: user.addresses for user in readdressed})
        regrouped = [new for old, new in plan.changed if old.groups != new.groups]
        writing.end_memberships_of(tx, [user.id for user in regrouped])
        self._join(tx, regrouped)

    def _add(self, tx: Tx, users: Sequence[UserRecord]) -> None:
        stamped = [replace(user, created_at_ms=self.now_ms) for user in users]
        writing.add_users(tx, [user_row(self.application, user) for user in stamped])
        keys = [login_key(user.login) for user in users]
        ids = statements.ids_by_login(tx, self.application, keys)
        stored = [replace(user, id=ids[key]) for user, key in zip(users, keys, strict=True)]
        writing.add_addresses(tx, {user.id: user.addresses for user in stored})
        self._join(tx, stored)

    def _join(self, tx: Tx, users: Iterable[UserRecord]) -> None:
        wanted = [(login_key(name), user.id) for user in users for name in user.groups]
        ids = statements.group_ids(tx, self.application, [key for key, _ in wanted])
        writing.add_memberships(tx, [(ids[key], user_id) for key, user_id in wanted])


@dataclass(frozen=True, slots=True)
class _Rehearsal:
    """Plans and stores nothing."""

    begin: Callable[[], AbstractContextManager[Tx]]
    application: str

    def take(self, users: Sequence[ImportedUser]) -> _Plan:
        with self.begin() as tx:
            return _plan(tx, self.application, users)


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Counts what was committed."""

    is_dry_run: bool = False
    progress: Callable[[int], None]
    report: ImportReport = field(default_factory=ImportReport)
    groups: dict[str, str] = field(default_factory=dict[str, str])
    unusable: list[Unusable] = field(default_factory=list[Unusable])
    refused: list[Broken] = field(default_factory=list[Broken])

    def counted(self, source: BinaryIO, taker: _Importer | _Rehearsal) -> ImportReport:
        columns, stopped = Columns(), None
        for users, broken, end in _parts(read_rows(source, columns)):
            try:
                plan = taker.take(users) if users else _Plan((), (), 0, {})
            except OutboxError as err:
                lines = [user.line for user in users] + [row.line for row in broken]
                stopped = Stopped(min(lines), str(err))
                break
            self._count(users, broken, plan)
            stopped = end
            self.progress(self.report.rows)
        return replace(
            self.report,
            is_dry_run=self.is_dry_run,
            unusable=tuple(self.unusable),
            refused=tuple(self.refused),
            groups_added=tuple(sorted(self.groups.values())),
            ignored_columns=tuple(columns.ignored),
            stopped=stopped,
        )

    def _count(self, users: Sequence[ImportedUser], broken: Sequence[Broken], plan: _Plan) -> None:
        unusable = [
            Unusable(user.line, user.login, address.text, address.problem)
            for user in users
            for address in user.addresses or ()
            if address.problem
        ]
        self.unusable += unusable[: MAX_REPORTED - len(self.unusable)]
        self.refused += broken[: MAX_REPORTED - len(self.refused)]
        self.groups = {**plan.groups, **self.groups}
        self.report = replace(
            self.report,
            added=self.report.added + len(plan.new),
            changed=self.report.changed + len(plan.changed),
            unchanged=self.report.unchanged + plan.unchanged,
            unusable_count=self.report.unusable_count + len(unusable),
            refused_count=self.report.refused_count + len(broken),
        )


def _parts(
    found: Iterator[Found],
) -> Iterator[tuple[list[ImportedUser], list[Broken], Stopped | None]]:
    judge = Judge()
    while rows := list(islice(found, ROWS_PER_TRANSACTION)):
        users: list[ImportedUser] = []
        broken: list[Broken] = []
        end: Stopped | None = None
        for row in rows:
            match row if isinstance(row, Broken | Stopped) else judge.judged(row):
                case Stopped() as end:
                    pass
                case Broken() as refused:
                    broken.append(refused)
                case ImportedUser() as user:
                    users.append(user)
        yield users, broken, end
