"""This room is transports of an application's own that do not survive some mail (P7, P8)."""

import os
import signal
from pathlib import Path

from envoi.relays import relay_options
from envoi.seams import Parcel
from envoi.settings import Settings
from envoi.transport.carrier import SmtpCarrier

# Who gets the mail that nobody survives; an address begins so.
POISON = "poison-"
_MARK = Path("raised")


def deadly(settings: Settings) -> SmtpCarrier:
    """Return a transport in which a filter kills the process, as a fault in C code does."""
    return _Deadly(relay_options(settings.smtp))


def raising_once(settings: Settings) -> SmtpCarrier:
    """Return a transport that raises what nobody foresaw with its first mail, and never again."""
    return _RaisingOnce(relay_options(settings.smtp))


class _Deadly(SmtpCarrier):
    def load(self, parcel: Parcel) -> None:
        """Die of a poisoned mail."""
        if str(parcel.recipient).startswith(POISON):
            os.kill(os.getpid(), signal.SIGKILL)
        super().load(parcel)


class _RaisingOnce(SmtpCarrier):
    def load(self, parcel: Parcel) -> None:
        """Raise with the first mail that this machine's disk remembers."""
        if not _MARK.exists():
            _MARK.touch()
            raise ZeroDivisionError("a defect that nobody foresaw")
        super().load(parcel)
