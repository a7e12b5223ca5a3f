"""This room adapts a courier, which is called once per mail and blocks, to the carriers' contract.

Calls are made in threads, as many at once as the relay's connections would be; the worker's own
thread only hands out and collects, so a slow courier stops nothing else. Every call ends for the
worker within its time, whatever the courier does:

* it answers: that is the outcome;
* it raises: nobody knows whether the mail was taken, so the delivery is in doubt, unless the
  error says that there never was a connection;
* it does not come back: in doubt as well, and its thread is no longer counted on until it does.
"""

import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, cast

from envoi.core.delivery import Doubtful, Outcome, Reply, Stage, Unreachable, Unsuitable
from envoi.core.kind import clean_line
from envoi.core.problem import brief
from envoi.seams import Capabilities, CarrierEvent, Finished, Parcel, Ready, RelayTrouble, RelayWell

# A courier is given mail as the strictest relay would get it, so that it can go on by any way.
_CAPABILITIES = Capabilities()
_MAX_WORDS_CHARS = 512
# So deep nobody wraps an error; and one may be its own cause.
_MAX_CAUSES = 8
_HUNG = "every call of it hangs"
_ADVICE = {
    Stage.AUTH: "correct its credentials; it is tried again once a minute",
    Stage.CONNECT: "see whether the service runs and can be reached; it is tried again by itself",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One mail to one recipient, as a courier gets it.

    Args:
        delivery_id: Row id; the same at each attempt, so that a service can tell a repetition.
        mail_from: Envelope sender; empty: the null sender.
        recipient: Envelope recipient, whatever the headers say.
        content: The whole mail, CRLF line ends, seven-bit.
    """

    delivery_id: int
    mail_from: str
    recipient: str
    content: bytes


class _Carries(Protocol):
    def carry(self, outgoing: Outgoing) -> Outcome: ...


@dataclass(slots=True, eq=False)
class _Call:
    """One call of the courier.

    Args:
        outgoing: What is carried.
        deadline: Monotonic seconds after which nobody waits for it.
        outcome: What became of it; None while it runs.
    """

    outgoing: Outgoing
    deadline: float
    outcome: Outcome | None = None


class CourierCarrier:
    """Carries parcels by a courier; see `seams.Carrier` for the contract.

    Args:
        courier: Carries one mail per call; called from several threads.
        name: What logs call it.
        calls: How many calls there may be at once.
        timeout_s: How long a call may take. Giving up early sends twice.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        courier: _Carries,
        *,
        name: str,
        calls: int,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; threads begin with the first mail."""
        self._courier = courier
        self._name = name
        self._allowed = calls
        self._timeout_s = timeout_s
        self._clock = clock
        self._parcels: dict[int, Parcel] = {}
        self._calls: dict[int, _Call] = {}
        # Calls nobody waits for any more, whose threads have not come back.
        self._lost: set[_Call] = set()
        self._orders: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._answered: deque[_Call] = deque()
        self._bell = threading.Event()
        self._is_woken = False
        self._thread_count = 0
        self._events: list[CarrierEvent] = []
        self._is_down = self._is_probing = self._is_well = self._is_closed = False

    # The contract.

    def room(self) -> int:
        """Return how many more parcels can be loaded now; 0 while the service is in trouble."""
        if self._is_down or self._is_closed:
            return 0
        allowed = self._allowed - len(self._lost)
        allowed = min(allowed, 1) if self._is_probing else allowed
        return max(0, allowed - len(self._parcels) - len(self._calls))

    def load(self, parcel: Parcel) -> None:
        """Take a parcel; it is ready at once.

        Raises:
            ValueError: The delivery is in our hands already.
        """
        if parcel.delivery_id in self._parcels or parcel.delivery_id in self._calls:
            raise ValueError(f"delivery {parcel.delivery_id} was loaded twice")
        self._parcels[parcel.delivery_id] = parcel
        self._events.append(Ready(delivery_id=parcel.delivery_id))

    def permit(self, delivery_ids: Sequence[int]) -> None:
        """Call the courier for these."""
        for delivery_id in delivery_ids:
            parcel = self._parcels.pop(delivery_id, None)
            if parcel is not None:
                self._begin(parcel)

    def withdraw(self, delivery_ids: Sequence[int]) -> None:
        """Drop parcels; a call that began goes on, and nothing is told of it."""
        dropped = set(delivery_ids)
        for delivery_id in dropped:
            self._parcels.pop(delivery_id, None)
            call = self._calls.pop(delivery_id, None)
            if call is not None:
                self._lost.add(call)
        self._events = [
            event
            for event in self._events
            if not (isinstance(event, Ready) and event.delivery_id in dropped)
        ]

    def turn(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Collect answers; wait at most `timeout_s` for the first."""
        end = self._clock() + timeout_s
        while True:
            self._collect()
            now = self._clock()
            if self._events or self._is_woken or now >= end:
                self._is_woken = False
                events, self._events = self._events, []
                return events
            self._bell.wait(max(0.0, min([end, *self._deadlines()]) - now))

    def wake(self) -> None:
        """Make a waiting `turn` return; the only method that other threads may call."""
        self._is_woken = True
        self._bell.set()

    def retry_now(self) -> None:
        """Try the service with one mail; room opens when it is well."""
        self._is_probing = self._is_probing or self._is_down
        self._is_down = False

    def limit_connections(self, connections: int) -> None:
        """Change how many calls there may be at once; those that run go on."""
        self._allowed = connections

    def close(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Wait for the calls that run, within the time; tells what became of all."""
        self._is_closed = True
        self._give_back("the worker stops")
        end = self._clock() + timeout_s
        self._collect()
        while self._calls and (left := end - self._clock()) > 0:
            self._bell.wait(left)
            self._collect()
        for call in tuple(self._calls.values()):
            self._end(call, Doubtful(because="the worker stopped before the answer came"))
        self._dismiss()
        events, self._events = self._events, []
        return events

    # Calls.

    def _begin(self, parcel: Parcel) -> None:
        try:
            # Here and not in the call's thread: what makes the bytes is the worker's.
            content = parcel.wire(_CAPABILITIES)
        except (ValueError, LookupError) as err:
            outcome = Unsuitable(because=f"this mail cannot be made: {err}")
            self._events.append(Finished(delivery_id=parcel.delivery_id, outcome=outcome))
            return
        outgoing = Outgoing(
            delivery_id=parcel.delivery_id,
            mail_from=str(parcel.mail_from or ""),
            recipient=str(parcel.recipient),
            content=content,
        )
        call = _Call(outgoing, self._clock() + self._timeout_s)
        self._calls[parcel.delivery_id] = call
        self._orders.put(call)
        if self._thread_count < len(self._calls) + len(self._lost):
            self._hire()

    def _hire(self) -> None:
        self._thread_count += 1
        # A daemon: a call that never comes back must not keep the process from ending.
        threading.Thread(
            target=_serve,
            args=(self._courier, self._orders, self._answered, self._bell),
            name=f"envoi-{self._name}",
            daemon=True,
        ).start()

    def _dismiss(self) -> None:
        for _ in range(self._thread_count):
            self._orders.put(None)
        close = getattr(self._courier, "close", None)
        if callable(close) and not self._lost:
            with suppress(Exception):  # a service that is not left politely has all mail as well
                close()

    def _deadlines(self) -> list[float]:
        return [call.deadline for call in self._calls.values()]

    # What became of them.

    def _collect(self) -> None:
        self._bell.clear()
        while self._answered:
            call = self._answered.popleft()
            if call in self._lost:
                self._lost.discard(call)
            elif call.outcome is not None:
                self._end(call, call.outcome, is_back=True)
        now = self._clock()
        for call in [call for call in self._calls.values() if now >= call.deadline]:
            because = f"no answer within {self._timeout_s:g} s"
            self._end(call, Doubtful(because=because))
        if len(self._lost) >= self._allowed and not self._is_down and not self._is_closed:
            self._trouble(Stage.CONNECT, _HUNG)

    def _end(self, call: _Call, outcome: Outcome, *, is_back: bool = False) -> None:
        delivery_id = call.outgoing.delivery_id
        del self._calls[delivery_id]
        if not is_back:
            self._lost.add(call)
        self._events.append(Finished(delivery_id=delivery_id, outcome=outcome))
        match outcome:
            case Unreachable(had_turn=False, stage=stage, because=because):
                if not self._is_down:
                    self._trouble(stage, because)
            case Doubtful():
                pass  # says nothing of the service
            case _:
                self._well()

    def _trouble(self, stage: Stage, because: str) -> None:
        self._is_down, self._is_well = True, False
        needs_operator = stage in {Stage.AUTH, Stage.TLS}
        self._events.append(
            RelayTrouble(
                stage=stage,
                because=because,
                advice=_ADVICE[Stage.AUTH if needs_operator else Stage.CONNECT],
                needs_operator=needs_operator,
            )
        )
        self._give_back(because)

    def _well(self) -> None:
        self._is_probing = False
        if not self._is_well and not self._is_down:
            self._is_well = True
            self._events.append(RelayWell(relay=self._name))

    def _give_back(self, because: str) -> None:
        outcome = Unreachable(stage=Stage.CONNECT, because=because)
        waiting = set(self._parcels)
        self._parcels.clear()
        self.withdraw(tuple(waiting))
        self._events.extend(Finished(delivery_id=id_, outcome=outcome) for id_ in sorted(waiting))


def _serve(
    courier: _Carries,
    orders: "queue.SimpleQueue[_Call | None]",
    answered: deque[_Call],
    bell: threading.Event,
) -> None:
    while (call := orders.get()) is not None:
        call.outcome = _carried(courier, call.outgoing)
        answered.append(call)
        bell.set()


def _carried(courier: _Carries, outgoing: Outgoing) -> Outcome:
    try:
        outcome = cast("object", courier.carry(outgoing))
    # SystemExit: a thread that ended by it would never answer.
    except (Exception, SystemExit) as err:  # noqa: BLE001 # somebody else's code, which may do anything
        return _failed(err)
    if isinstance(outcome, Reply | Unreachable | Doubtful | Unsuitable):
        return _lasting(outcome)
    expected = "accepted(...), later(...), refused(...), down(...) or denied(...)"
    return Doubtful(because=f"carry: expected {expected}, got {_words(brief(outcome))}")


def _lasting(outcome: Outcome) -> Outcome:
    # A reply to a sign-in is about the service, and given back at once it would be a tight loop.
    if isinstance(outcome, Reply) and not outcome.stage.is_transaction:
        return Unreachable(stage=outcome.stage, because=str(outcome))
    return outcome


def _failed(err: BaseException) -> Outcome:
    words = _words(f"{type(err).__name__}: {err}")
    if _never_connected(err):
        return Unreachable(stage=Stage.CONNECT, because=words)
    return Doubtful(because=f"carry raised {words}")


def _never_connected(err: object) -> bool:
    # `urllib` and its like wrap what happened; `reason` is their word for it.
    for _ in range(_MAX_CAUSES):
        if isinstance(err, ConnectionRefusedError | socket.gaierror):
            return True
        err = getattr(err, "reason", None) or getattr(err, "__cause__", None)
    return False


def _words(text: str) -> str:
    return clean_line(text)[:_MAX_WORDS_CHARS]
