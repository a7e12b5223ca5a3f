"""This room waits: the carrier of a worker that has no relay and nothing to capture with."""

from collections.abc import Sequence
from threading import Event as Signal

from envoi.seams import CarrierEvent, Parcel


class IdleCarrier:
    """Takes nothing, so that everything stays where it is; the worker's other chores go on."""

    def __init__(self) -> None:
        """Start waiting."""
        self._woken = Signal()

    def room(self) -> int:
        """Return 0: nothing is carried from here."""
        return 0

    def load(self, parcel: Parcel) -> None:
        """Refuse: whoever loads did not ask `room`."""
        raise ValueError(f"delivery {parcel.delivery_id}: no relay is configured")

    def permit(self, delivery_ids: Sequence[int]) -> None:
        """Do nothing; nothing was loaded."""

    def withdraw(self, delivery_ids: Sequence[int]) -> None:
        """Do nothing; nothing was loaded."""

    def turn(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Wait until woken, at most `timeout_s`."""
        self._woken.wait(timeout_s)
        self._woken.clear()
        return ()

    def wake(self) -> None:
        """End the wait."""
        self._woken.set()

    def retry_now(self) -> None:
        """Do nothing; there is nothing to try."""

    def limit_connections(self, connections: int) -> None:
        """Do nothing; there are none."""

    def close(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Return at once; nothing is under way."""
        del timeout_s
        return ()
