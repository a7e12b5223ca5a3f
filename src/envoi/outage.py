"""This room keeps an outage: the time from a relay's first trouble until it works again.

During an outage nothing is claimed. One worker tries the relay once per interval: a second after
trouble with the network, doubling to half a minute; a minute where an operator must act (AUTH,
TLS), so that a wrong password does not lock the account. One ERROR in each process that delivers
tells of the outage, because each finds it out with a connection of its own and may be the only
one whose log is read; each waiting mail is told of once per process.
"""

from contextlib import suppress
from dataclasses import replace

from envoi.assembly import Parts
from envoi.errors import OutboxError
from envoi.journal import Fact
from envoi.outbox.relay import Pause
from envoi.relays import own_keys
from envoi.seams import Carrier, RelayTrouble

FIRST_TRY_MS = 1_000
OPERATOR_TRY_MS = 60_000
NEVER_MS = 2**62
# Waiting mail told of per try; what is more follows at the next ones.
MAX_TOLD = 200


class Outage:
    """Whether a relay is in trouble, and when it is tried again.

    Args:
        parts: The outbox's parts.
        relay: Name of the transport.
    """

    def __init__(self, parts: Parts, relay: str) -> None:
        """Start well."""
        self._parts = parts
        self._relay = relay
        self._trouble: RelayTrouble | None = None
        self._wait_ms = 0
        self._last_told_id = 0
        self.next_due_ms = NEVER_MS

    @property
    def is_on(self) -> bool:
        """Whether the relay is in trouble now."""
        return self._trouble is not None

    def begin(self, trouble: RelayTrouble, now_ms: int) -> None:
        """Note trouble, for the first time or again."""
        trouble = replace(trouble, advice=own_keys(self._relay, trouble.advice))
        is_new = self._trouble is None or self._trouble.stage is not trouble.stage
        self._trouble = trouble
        if trouble.needs_operator:
            self._wait_ms = OPERATOR_TRY_MS
        else:
            longest_ms = int(self._parts.settings.delivery.relay_retry_longest_s * 1000)
            self._wait_ms = min(max(self._wait_ms * 2, FIRST_TRY_MS), longest_ms)
        self.next_due_ms = now_ms + self._wait_ms
        self._share(now_ms)
        if is_new:
            self._parts.journal.note(
                Fact.RELAY_DOWN, relay=self._relay, because=trouble.because, advice=trouble.advice
            )

    def begin_anew(self, now_ms: int) -> None:
        """Wait as long as before from now on, because the clock went back."""
        if self._trouble is not None:
            self.next_due_ms = now_ms + self._wait_ms

    def end(self) -> None:
        """Note that a connection works."""
        was_down = self._trouble is not None
        self._trouble, self._wait_ms, self.next_due_ms = None, 0, NEVER_MS
        with suppress(OutboxError):  # the pause ends by itself
            # Also when it was a worker that is dead by now who had found the relay in trouble.
            was_down |= self._parts.outbox.relay_back(self._relay)
        if was_down:
            self._parts.journal.note(Fact.RELAY_BACK, relay=self._relay)

    def look(self, now_ms: int, carrier: Carrier, *, has_stand_in: bool = False) -> None:
        """Tell of mail that waits, and try the relay again when its time has come.

        Args:
            now_ms: The clock.
            carrier: The relay's.
            has_stand_in: Whether another relay carries its mail meanwhile: then none waits.
        """
        if self._trouble is None or now_ms < self.next_due_ms:
            return
        if not has_stand_in:
            self._tell_waiting(now_ms)
        self.next_due_ms = now_ms + self._wait_ms
        if self._parts.outbox.may_try(self._relay, now_ms, self._wait_ms):
            carrier.retry_now()

    def _share(self, now_ms: int) -> None:
        trouble = self._trouble
        if trouble is None:
            return
        with suppress(OutboxError):  # the other workers then find out for themselves
            self._parts.outbox.relay_down(
                Pause(
                    relay=self._relay,
                    because=trouble.because,
                    advice=trouble.advice,
                    down_since_ms=now_ms,
                    paused_until_ms=now_ms + self._wait_ms,
                    needs_operator=trouble.needs_operator,
                )
            )

    def _tell_waiting(self, now_ms: int) -> None:
        with suppress(OutboxError):  # told at the next try instead
            for waiting in self._parts.outbox.waiting(
                self._relay, now_ms, after_id=self._last_told_id, limit=MAX_TOLD
            ):
                self._last_told_id = waiting.id
                self._parts.journal.note(
                    Fact.DELIVERY_WAITING,
                    delivery=waiting.id,
                    address=waiting.address,
                    subject=waiting.subject,
                    text=waiting.text,
                )
