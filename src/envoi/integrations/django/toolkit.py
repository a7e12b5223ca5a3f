"""This room names what we use of Django, which ships no types, with the types that we rely on."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_login_failed
from django.core import checks
from django.core.signals import got_request_exception, request_started
from django.db import connections, router, transaction
from django.db.models import signals
from django.utils import decorators
from django.views import debug as views_debug
from django.views.decorators import debug

# `Any` for what has no types; nothing of it leaves this module.
_apps, _connections = cast("Any", apps), cast("Any", connections)
_decorators, _router = cast("Any", decorators), cast("Any", router)
_signals, _transaction = cast("Any", signals), cast("Any", transaction)
_checks, _views_debug = cast("Any", checks), cast("Any", views_debug)


class Signal(Protocol):
    """One of Django's signals."""

    def connect(
        self,
        receiver: Callable[..., None],
        sender: type | None = None,
        *,
        weak: bool = True,
        dispatch_uid: object = None,
    ) -> None:
        """Call the receiver with each message of the sender."""
        ...

    def disconnect(self, receiver: Callable[..., None], sender: type | None = None) -> bool:
        """Call it no longer."""
        ...


class Connection(Protocol):
    """A connection, with what we read and change of it."""

    alias: str
    in_atomic_block: bool
    run_on_commit: list[tuple[object, ...]]
    commit: Callable[[], None]


POST_SAVE = cast("Signal", _signals.post_save)
PRE_DELETE = cast("Signal", _signals.pre_delete)
LOGIN_FAILED = cast("Signal", user_login_failed)
REQUEST_EXCEPTION = cast("Signal", got_request_exception)
REQUEST_STARTED = cast("Signal", request_started)
# Which variables of coroutines are sensitive, by the hash of their place: Django 5 has these.
ASYNC_MARKS = cast(
    "Mapping[int, str | tuple[str, ...]]",
    getattr(debug, "coroutine_functions_to_sensitive_variables", {}),
)


class Filter(Protocol):
    """What of a request may be shown."""

    def get_post_parameters(self, request: object) -> object:
        """Return the fields of a form, those replaced that may not."""
        ...


class Warned(Protocol):
    """What a check says."""

    msg: str
    hint: str
    id: str


def setting(name: str) -> object:
    """Return one of the project's settings; None where there is none."""
    return cast("object", getattr(settings, name, None))


def filter_of(request: object) -> Filter:
    """Return the filter of a request: its own, the project's, or Django's."""
    return cast("Filter", _views_debug.get_exception_reporter_filter(request))


def warned(said: str, hint: str, name: str) -> Warned:
    """Return a warning of a check."""
    return cast("Warned", _checks.Warning(said, hint=hint, id=name))


def register_check(check: Callable[[], list[Warned]]) -> None:
    """Have a check run whenever Django runs its own."""

    def run(app_configs: object = None, **_more: object) -> list[Warned]:
        del app_configs  # a project has one mailer
        return check()

    _checks.register(run, "envoi")


def both_ways(middleware: Callable[..., object]) -> Callable[..., object]:
    """Mark a middleware that serves synchronous and asynchronous views."""
    return cast("Callable[..., object]", _decorators.sync_and_async_middleware(middleware))


def app_config(label: str) -> object:
    """Return an installed application's configuration; LookupError where there is none."""
    return cast("object", _apps.get_app_config(label))


def connection_of(alias: str) -> Connection:
    """Return this thread's connection to a database."""
    return cast("Connection", _connections[alias])


def atomic(using: str) -> AbstractContextManager[None]:
    """Return a transaction, or within one a savepoint."""
    return cast("AbstractContextManager[None]", _transaction.atomic(using=using))


def on_commit(callback: Callable[[], None], using: str) -> None:
    """Call back after the outermost commit, unless a rollback comes first."""
    _transaction.on_commit(callback, using=using, robust=True)


def username_field() -> str:
    """Return the field of the project's users that holds the name to sign in with."""
    return str(cast("Any", get_user_model()).USERNAME_FIELD)


def users_alias() -> str:
    """Return the database that holds the project's users."""
    return str(_router.db_for_write(get_user_model()))


def is_user(username: str, alias: str) -> bool:
    """Whether one of the project's users has this name to sign in with."""
    users = cast("Any", get_user_model())
    known = users._default_manager.using(alias)  # noqa: SLF001 # documented, in spite of its name
    return bool(known.filter(**{username_field(): username}).exists())
