"""This room judges: what the outbox says of each pair, against what the relay has.

The one excuse for a copy too many (I2): the relay kept the mail before, and we had not durably
noted its 2xx. Either it never said one, or said it when we had stopped waiting, or whoever waited
for it was ended. The last kind is limited: each end of a process explains at most as many copies
as it had contents under way, and only of mails that the relay took shortly before.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from envoi.core.delivery import State
from envoi.outbox.find import Listed
from faults.evidence import Copy, Evidence
from faults.row import Tally

# How long before a disruption the relay may have kept a mail that the disruption explains: a
# busy machine may leave an answer unread for so long.
_UNNOTED_S = 5.0
_VISIBLE = frozenset(
    {State.SENT, State.FAILED, State.QUEUED, State.SENDING, State.UNCERTAIN, State.HELD}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disruption:
    """A moment at which answers may have been lost with their hearer.

    Args:
        what: In words.
        excuses: How many copies it can explain.
        began_at_s: When it began, monotonic seconds.
        ended_at_s: When it was over.
    """

    what: str
    excuses: int
    began_at_s: float
    ended_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Both sides of the matter.

    Args:
        accepted: Recipients of what was accepted; each appears once.
        deliveries: What the outbox says.
        evidence: What the relay's ledger says.
        disruptions: What the row did to those who wait for answers.
        content_timeout_s: How long they wait.
        may_fail: Recipients who may fail without a refusal.
        may_be: End states beyond the usual ones that the row asked for.
    """

    accepted: tuple[str, ...]
    deliveries: tuple[Listed, ...]
    evidence: Evidence
    disruptions: tuple[Disruption, ...] = ()
    content_timeout_s: float = 600.0
    may_fail: frozenset[str] = frozenset()
    may_be: frozenset[State] = frozenset()
    states: dict[str, list[State]] = field(default_factory=lambda: defaultdict(list[State]))

    def __post_init__(self) -> None:
        """Sort the deliveries by address."""
        for listed in self.deliveries:
            self.states[str(listed.delivery.address)].append(listed.delivery.state)


def tally(truth: Truth) -> Tally:
    """Return the figures, and what else does not fit together."""
    excused, unexcused = _duplicates(truth)
    meant = set(truth.accepted)
    found = Tally(
        messages=len(truth.accepted),
        lost=sum(_is_lost(truth, address) for address in truth.accepted),
        duplicated_excused=excused,
        duplicated=unexcused,
        wrongly_failed=sum(_is_wrongly_failed(truth, address) for address in truth.states),
        falsely_sent=sum(_is_falsely_sent(truth, address) for address in truth.states),
        stray=sum(
            len(copies) for address, copies in truth.evidence.copies.items() if address not in meant
        ),
        changed_message_id=sum(
            len({(copy.message_id, copy.digest) for copy in copies}) > 1
            for copies in truth.evidence.copies.values()
        ),
    )
    _check_rows(truth, found)
    _check_wire(truth, found)
    return found


def _is_lost(truth: Truth, address: str) -> bool:
    # A mail that the relay has is not lost, whatever the outbox says; that it says so is counted
    # by the others.
    if truth.evidence.copies.get(address):
        return False
    return not any(state in _VISIBLE | truth.may_be for state in truth.states.get(address, ()))


def _is_wrongly_failed(truth: Truth, address: str) -> bool:
    if State.FAILED not in truth.states[address]:
        return False
    return address not in truth.evidence.refused | truth.may_fail


def _is_falsely_sent(truth: Truth, address: str) -> bool:
    # I3: only after a 2xx to its own content. What the relay then throws away is beyond us.
    if State.SENT not in truth.states[address] or address in truth.evidence.lied:
        return False
    return not any(copy.is_acknowledged for copy in truth.evidence.copies.get(address, ()))


def _duplicates(truth: Truth) -> tuple[int, int]:
    left = [disruption.excuses for disruption in truth.disruptions]
    excused = unexcused = 0
    for former, later in _copies_too_many(truth.evidence):
        if _was_unheard(truth, former, later) or _use_excuse(truth, left, former, later):
            excused += 1
        else:
            unexcused += 1
    return excused, unexcused


def _copies_too_many(evidence: Evidence) -> Iterator[tuple[Copy, Copy]]:
    pairs = [pair for copies in evidence.copies.values() for pair in pairwise(copies)]
    return iter(sorted(pairs, key=lambda pair: pair[0].kept_at_s))


def _was_unheard(truth: Truth, former: Copy, later: Copy) -> bool:
    if not former.is_acknowledged or former.answered_at_s > later.kept_at_s:
        return True
    return former.answered_at_s - former.kept_at_s >= truth.content_timeout_s


def _use_excuse(truth: Truth, left: list[int], former: Copy, later: Copy) -> bool:
    for number, disruption in enumerate(truth.disruptions):
        is_near = (
            former.connected_at_s <= disruption.ended_at_s
            and former.kept_at_s >= disruption.began_at_s - _UNNOTED_S
            and later.kept_at_s >= disruption.began_at_s
        )
        if is_near and left[number]:
            left[number] -= 1
            return True
    return False


def _check_rows(truth: Truth, found: Tally) -> None:
    rows = {address: len(states) for address, states in truth.states.items()}
    many = [address for address, count in rows.items() if count > 1]
    found.expect(not many, f"one delivery for each pair; several for {_some(many)}")
    strange = sorted(rows.keys() - set(truth.accepted))
    found.expect(not strange, f"no delivery for what was not accepted; got {_some(strange)}")


def _check_wire(truth: Truth, found: Tally) -> None:
    violations = Counter(truth.evidence.violations).most_common(3)
    found.expect(not violations, f"nothing against the protocol; got {violations}")
    owners: dict[str, set[str]] = defaultdict(set)
    for address, copies in truth.evidence.copies.items():
        for copy in copies:
            owners[copy.message_id].add(address)
    shared = [message_id for message_id, names in owners.items() if len(names) > 1]
    found.expect(not shared, f"a Message-ID of its own for each pair; shared: {_some(shared)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004 # a glimpse
    return ", ".join(names[:3]) + more
