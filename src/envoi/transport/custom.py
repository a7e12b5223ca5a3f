"""This room lets an application carry its mail itself: by HTTP, by a queue, by whatever it has.

`transport.default` names what makes the transport: `module:factory`, or a name that an installed
package registered in the entry point group `envoi.transports`. The factory gets the settings and
returns one of two things:

* a `Courier`, the easy way: one blocking call per mail, made from a few threads at once;
* a `seams.Carrier`, the full contract, for whoever multiplexes connections himself.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from envoi.core.delivery import Outcome, Reply, Stage, Unreachable
from envoi.core.kind import clean_line
from envoi.core.problem import Problem, brief
from envoi.errors import SettingsError
from envoi.seams import Carrier
from envoi.settings import Settings
from envoi.transport.courier import CourierCarrier, Outgoing

__all__ = [
    "Courier", "Outcome", "Outgoing", "OwnTransport", "accepted", "denied", "down",
    "find_transport", "later", "refused",
]  # fmt: skip

SMTP = "smtp"
GROUP = "envoi.transports"
KEY = "transport.default"
# What a row of the outbox keeps of a reply.
MAX_WORDS_CHARS = 512

Factory = Callable[[Settings], object]


class Courier(Protocol):
    """What an application implements to carry its mail itself."""

    def carry(self, outgoing: Outgoing) -> Outcome:
        """Hand one mail over; return what became of it.

        Called from several threads, at most `smtp.connections` at once. Return `accepted`,
        `later`, `refused`, `down` or `denied`. An exception leaves open whether the mail was
        taken: it becomes `uncertain` and is tried again, with the same delivery id.
        """
        ...


def accepted(words: str) -> Reply:
    """Say that the mail was taken; the words, e.g. the service's own id, are kept.

    >>> accepted("id 4711")
    Reply(stage=<Stage.CONTENT: 'content'>, code=250, text='id 4711')
    """
    return Reply(stage=Stage.CONTENT, code=250, text=_words(words))


def later(words: str) -> Reply:
    """Say that this mail was not taken now: it waits, longer each time (`delivery.first_retry_s`).

    >>> later("too many requests").code
    451
    """
    return Reply(stage=Stage.CONTENT, code=451, text=_words(words))


def refused(words: str) -> Reply:
    """Say that this mail will never be taken: it fails, and an operator sees why.

    >>> refused("no such mailbox").code
    554
    """
    return Reply(stage=Stage.CONTENT, code=554, text=_words(words))


def down(words: str) -> Unreachable:
    """Say that no mail can be handed over now, and this one was not taken.

    All mail waits, untouched, and is tried again after a second, doubling to
    `delivery.relay_retry_longest_s`.

    >>> down("connection refused").stage
    <Stage.CONNECT: 'connect'>
    """
    return Unreachable(stage=Stage.CONNECT, because=_words(words))


def denied(words: str) -> Unreachable:
    """Say that the service does not let us in, e.g. by a wrong key: all mail waits for an operator.

    Tried again once a minute, so that no account is locked.
    """
    return Unreachable(stage=Stage.AUTH, because=_words(words))


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTransport:
    """A transport of the application's own.

    Args:
        name: As the settings name it.
        key: The key that names it.
        factory: Makes it, in the process and thread that uses it.
    """

    name: str
    factory: Factory
    key: str = KEY

    def carrier(self, settings: Settings, relay: str = "default") -> Carrier:
        """Make a carrier of it.

        Args:
            settings: Handed to the factory.
            relay: Whose mail it carries: the limits are those of that relay.

        Raises:
            SettingsError: The factory failed, or what it made cannot carry mail.
        """
        try:
            made = self.factory(settings)
        except Exception as err:
            raise _misfit(self, repr(err), "its factory failed") from err
        if all(callable(getattr(made, method, None)) for method in _CONTRACT):
            return cast("Carrier", made)
        if not callable(getattr(made, "carry", None)):
            hint = "its factory returned neither a Courier nor a Carrier"
            raise _misfit(self, brief(made), hint)
        return CourierCarrier(
            cast("Courier", made),
            name=self.name,
            calls=settings.relay(relay).connections,
            timeout_s=settings.relay(relay).content_timeout_s,
        )


_CONTRACT = (
    "room", "load", "permit", "withdraw", "turn", "wake", "retry_now", "limit_connections", "close",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Named:
    """What the settings say."""

    name: str
    key: str


def find_transport(name: str, folder: Path, key: str = KEY) -> OwnTransport | None:
    """Return the transport that the settings name; None for `smtp`, which is built in.

    Args:
        name: `smtp`, the name of an entry point, or `module:factory`.
        folder: Where modules are looked for before the places where Python looks anyway.
        key: The key that names it, as its author wrote it.

    Raises:
        SettingsError: It cannot be loaded; names the key and the known ones.
    """
    if name == SMTP:
        return None
    said = _Named(name, key)
    try:
        factory = _loaded(name, folder)
    except LookupError as err:
        raise _misfit(said, repr(name), str(err)) from err
    # SystemExit: a script named by mistake; a module is somebody else's code and may do anything.
    except (Exception, SystemExit) as err:
        raise _misfit(said, repr(err), f"{name} cannot be imported") from err
    if not callable(factory):
        raise _misfit(said, brief(factory), f"{name} is nothing that can be called")
    return OwnTransport(name=name, factory=cast("Factory", factory), key=key)


def _loaded(name: str, folder: Path) -> object:
    module, colon, attributes = name.partition(":")
    if not colon:
        return _registered(name).load()
    if str(folder) not in sys.path:
        # A command does not run in the application's folder, the settings file lies there.
        sys.path.insert(0, str(folder))
    found: object = importlib.import_module(module)
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise LookupError(f"{module} has no {attributes}")
        found = getattr(found, attribute)
    return found


def _registered(name: str) -> EntryPoint:
    known = entry_points(group=GROUP)
    for one in known:
        if one.name == name:
            return one
    near = get_close_matches(name, [SMTP, *known.names], n=1)
    raise LookupError(f"did you mean {near[0]}?" if near else "no package registered it")


def _misfit(said: _Named | OwnTransport, got: str, hint: str) -> SettingsError:
    known = ", ".join([SMTP, *sorted(entry_points(group=GROUP).names)])
    expected = f"one of {known}, or module:factory"
    got = got if said.name in got else f"{said.name!r}, {got}"
    return SettingsError((Problem(where=said.key, expected=expected, got=got, hint=hint),))


def _words(words: str) -> str:
    return clean_line(words)[:MAX_WORDS_CHARS]
