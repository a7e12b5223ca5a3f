"""This room leases deliveries to workers and writes down what became of them (steps 10, 14).

A claim is a lease with a fence. The lease says how long a delivery is a worker's; the number of
claims says whether it still is. Whoever claims first takes back what dead workers left: a
delivery whose content may have left (`begun`) is in doubt and judged so, any other is queued as
if nothing had happened. There is no rescuer process and no lock file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import cast

from envoi.core.delivery import (
    Delivery,
    Doubtful,
    Failed,
    GiveBack,
    Hold,
    Patience,
    Retry,
    Sent,
    Stage,
    State,
    Suppress,
    Uncertain,
    Verdict,
    judge,
)
from envoi.core.kind import MailClass
from envoi.core.message import Attachment, Composed, Words
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.seams import Row, Tx

# How many rows of dead workers one claim takes back; the rest follow with the next claim.
MAX_TAKEN_BACK = 1_000
# A delivery that was lost this often before it was begun may be what kills its workers. From
# then on it goes alone, and at the second number it waits for an operator (RELIABILITY P8).
SUSPECT_AFTER_LOSSES = 3
HOLD_AFTER_LOSSES = 6
# Suspects go one by one: far enough apart that no two are claimed together.
SUSPECT_GAP_MS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery leased to a worker.

    Args:
        delivery: As claimed; its `claims` is the fence.
        worker: Whose it is.
        relay: Name of the relay that carries it: its own, or one that stands in for it.
    """

    delivery: Delivery
    worker: str
    relay: str = ""

    @property
    def id(self) -> int:
        """Row id of the delivery."""
        return self.delivery.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of a claim.

    Args:
        claim: The claim.
        verdict: The judgement.
        stage: How far the conversation got; None where there was none.
        started_at_ms: When the attempt began; 0 when it never did.
        ended_at_ms: When the answer came; 0 for now.
        sent_to: Where it went instead of its own address; empty for its own.
    """

    claim: Claim
    verdict: Verdict
    stage: Stage | None = None
    started_at_ms: int = 0
    ended_at_ms: int = 0
    sent_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOrder:
    """What a worker asks for.

    Args:
        worker: Unique name of the worker.
        limit: At most this many.
        lease_ms: How long they are its own unless it extends the lease. Too short sends twice,
            too long delays recovery after a crash.
        transport: Name of the relay it serves.
        wards: Names of relays that it stands in for; their mail comes behind its own.
        relay: What is noted as the carrier; empty: the relay it serves.
    """

    worker: str
    limit: int
    lease_ms: int = 60_000
    transport: str = "default"
    wards: tuple[str, ...] = ()
    relay: str = ""


def claim(tx: Tx, order: ClaimOrder, now_ms: int, patience: Patience) -> tuple[Claim, ...]:
    """Lease what is due: security mail first, then by due time; nothing twice.

    Args:
        tx: Open write transaction of our own.
        order: Who asks for how much.
        now_ms: The clock that due times are compared with.
        patience: How doubt about a dead worker's deliveries is judged.
    """
    take_back(tx, now_ms, patience, order.lease_ms)
    claims: list[Claim] = []
    for mail_class, transport in product(MailClass, (order.transport, *order.wards)):
        left = order.limit - len(claims)
        if left <= 0:
            break
        relay = order.relay or order.transport
        params = {"worker": order.worker, "lease_ms": order.lease_ms, "now_ms": now_ms}
        params |= {"transport": transport, "class": mail_class.rank, "limit": left, "relay": relay}
        sql = st.sql(tx.dialect)
        statement = sql.claim_broadcast if mail_class is MailClass.BROADCAST else sql.claim
        found = [records.delivery_of(row) for row in tx.execute(statement, params)]
        # RETURNING keeps no order.
        found.sort(key=lambda delivery: (delivery.due_at_ms, delivery.id))
        claims += [Claim(delivery=one, worker=order.worker, relay=relay) for one in found]
    return tuple(claims)


def take_back(tx: Tx, now_ms: int, patience: Patience, lease_ms: int) -> int:
    """Free the deliveries of workers that died or froze; return how many.

    Args:
        tx: Open write transaction of our own.
        now_ms: The clock.
        patience: How doubt is judged.
        lease_ms: How long those workers had been silent at least; a doubt has waited as long.
    """
    params = {"now_ms": now_ms, "limit": MAX_TAKEN_BACK}
    rows = tx.execute(st.sql(tx.dialect).lost, params)
    if not rows:
        return 0
    begun = [row for row in rows if row[-2]]
    untouched = [row for row in rows if not row[-2]]
    settlements = [_doubted(row, now_ms, patience, lease_ms) for row in begun]
    settle(tx, settlements + _freed(tx, untouched, now_ms), now_ms)
    _note_losses(tx, untouched, now_ms)
    return len(rows)


def begin(tx: Tx, claims: Sequence[Claim]) -> tuple[int, ...]:
    """Mark that the contents of these claims may leave; return the ids whose lease was lost.

    After the commit a crash leaves them in doubt. Those returned must not be sent.
    """
    return _fenced(tx, st.sql(tx.dialect).begin, claims, {})


def extend(tx: Tx, claims: Sequence[Claim], now_ms: int, lease_ms: int) -> tuple[int, ...]:
    """Extend the leases of these claims; return the ids whose lease was lost."""
    params = {"now_ms": now_ms, "lease_ms": lease_ms}
    return _fenced(tx, st.sql(tx.dialect).extend, claims, params)


def settle(tx: Tx, settlements: Sequence[Settlement], now_ms: int) -> tuple[int, ...]:
    """Write verdicts down, each only if its claim still holds; return the ids that had lost it.

    With a message's last final delivery its sealed words are deleted.
    """
    if not settlements:
        return ()
    # Sorted, so that two workers that both think a delivery theirs lock rows in one order.
    rows = records.packed_rows(sorted(_settled_row(settlement) for settlement in settlements))
    changed = tx.execute(st.sql(tx.dialect).settle, {"rows": rows, "now_ms": now_ms})
    held = {row[0]: row[1] == records.SEALED for row in changed}
    kept = [settlement for settlement in settlements if settlement.claim.id in held]
    _put_attempts(tx, kept, now_ms)
    secret = [s for s in kept if held[s.claim.id] and _state_of(s.verdict).is_final]
    drop_sealed(tx, {s.claim.delivery.message_id for s in secret})
    return tuple(s.claim.id for s in settlements if s.claim.id not in held)


def expire_due(tx: Tx, now_ms: int, limit: int) -> int:
    """Expire what is worthless now, held mail too; return how many, at most `limit`."""
    params = {"now_ms": now_ms, "limit": limit}
    rows = tx.execute(st.sql(tx.dialect).expire, params)
    drop_sealed(tx, {cast("int", row[0]) for row in rows})
    return len(rows)


def drop_sealed(tx: Tx, message_ids: Iterable[int]) -> None:
    """Delete the real words of those messages whose deliveries are all final."""
    ids = sorted(message_ids)
    if not ids:
        return
    sql = st.sql(tx.dialect)
    locked = tx.execute(sql.lock_sealed, {"rows": records.packed_ids(ids)})
    if not locked:
        return
    done = tx.execute(sql.unsealed, {"rows": records.packed_ids(ids)})
    unsealed = {"rows": records.packed_ids([cast("int", row[0]) for row in done])}
    tx.execute(sql.drop_sealed_words, unsealed)
    tx.execute(sql.mark_unsealed, unsealed)


def messages(tx: Tx, ids: Sequence[int]) -> dict[int, Composed]:
    """Return messages with their files and, where they are still kept, their sealed words.

    A message that `is_sealed` and comes without sealed words must not be sent: what is left of
    it is masked.
    """
    if not ids:
        return {}
    sql, rows = st.sql(tx.dialect), {"rows": records.packed_ids(sorted(set(ids)))}
    files: dict[int, list[Attachment]] = {}
    for message_id, name, media_type, content in tx.execute(sql.attachments, rows):
        # psycopg2 hands out a memoryview.
        whole = bytes(cast("bytes", content))
        file = Attachment(name=str(name), media_type=str(media_type), content=whole)
        files.setdefault(cast("int", message_id), []).append(file)
    sealed = {
        cast("int", message_id): records.words_of(content)
        for message_id, content in tx.execute(sql.sealed_words, rows)
    }
    return _composed(tx.execute(sql.messages, rows), files, sealed)


def _composed(
    rows: Sequence[Row], files: Mapping[int, list[Attachment]], sealed: Mapping[int, Words]
) -> dict[int, Composed]:
    composed: dict[int, Composed] = {}
    for row in rows:
        message_id = cast("int", row[0])
        message = records.message_of(row, tuple(files.get(message_id, ())))
        composed[message_id] = Composed(message=message, sealed=sealed.get(message_id))
    return composed


def _fenced(
    tx: Tx, statement: str, claims: Sequence[Claim], params: Mapping[str, object]
) -> tuple[int, ...]:
    if not claims:
        return ()
    rows = records.packed_rows(sorted((claim.id, claim.delivery.claims) for claim in claims))
    held = {row[0] for row in tx.execute(statement, {**params, "rows": rows})}
    return tuple(claim.id for claim in claims if claim.id not in held)


def _settled_row(settlement: Settlement) -> tuple[int, int, str, int, int, str]:
    claim, verdict = settlement.claim, settlement.verdict
    due_at_ms = verdict.due_at_ms if isinstance(verdict, Retry | Uncertain) else 0
    refused = int(isinstance(verdict, Retry) and verdict.is_refusal)
    state = _state_of(verdict).value
    return claim.id, claim.delivery.claims, state, due_at_ms, refused, verdict.because


def _state_of(verdict: Verdict) -> State:
    match verdict:
        case Sent():
            return State.SENT
        case Failed():
            return State.FAILED
        case Uncertain():
            return State.UNCERTAIN
        case Hold():
            return State.HELD
        case Suppress():
            return State.SUPPRESSED
        case Retry() | GiveBack():  # pragma: no branch # the type checker proves the list whole
            return State.QUEUED


def _put_attempts(tx: Tx, settlements: Sequence[Settlement], now_ms: int) -> None:
    # What never had its turn was no attempt.
    rows = [
        (
            s.claim.id,
            s.claim.delivery.claims,
            s.started_at_ms,
            s.ended_at_ms or now_ms,
            str(s.stage or ""),
            type(s.verdict).__name__.lower(),
            s.verdict.because,
            s.sent_to,
            s.claim.relay,
        )
        for s in settlements
        if not isinstance(s.verdict, GiveBack)
    ]
    if rows:
        tx.execute(st.sql(tx.dialect).put_attempts, {"rows": records.packed_rows(rows)})


def lost_claim(row: Row) -> Claim:
    """Return the claim of a row in `sending`: its columns, then `relay`, `begun` and `worker`."""
    delivery = records.delivery_of(row[:-3])
    return Claim(delivery=delivery, worker=str(row[-1]), relay=str(row[-3]))


def _doubted(row: Row, now_ms: int, patience: Patience, lease_ms: int) -> Settlement:
    claim = lost_claim(row)
    because = f"worker {claim.worker} died after the content may have left"
    doubt = Doubtful(because=because, waited_ms=lease_ms)
    verdict = judge(claim.delivery, doubt, now_ms, patience, 0.0)
    return Settlement(claim=claim, verdict=verdict, stage=Stage.CONTENT)


def _freed(tx: Tx, rows: Sequence[Row], now_ms: int) -> list[Settlement]:
    claims = [lost_claim(row) for row in rows]
    ids = {"rows": records.packed_ids([claim.id for claim in claims])}
    losses = {row[0]: cast("int", row[1]) for row in tx.execute(st.sql(tx.dialect).count_lost, ids)}
    return [
        Settlement(claim=claim, verdict=_freedom(losses.get(claim.id, 0) + 1, position, now_ms))
        for position, claim in enumerate(claims)
    ]


def _freedom(losses: int, position: int, now_ms: int) -> Verdict:
    because = f"its worker died before it was begun, {losses} times now"
    if losses >= HOLD_AFTER_LOSSES:
        return Hold(because=because)
    if losses >= SUSPECT_AFTER_LOSSES:
        due_at_ms = now_ms + position * SUSPECT_GAP_MS
        return Retry(because=because, due_at_ms=due_at_ms, is_refusal=False)
    return GiveBack(because=because)


def _note_losses(tx: Tx, rows: Sequence[Row], now_ms: int) -> None:
    lost = [
        (
            claim.id,
            claim.delivery.claims,
            0,
            now_ms,
            "",
            "lost",
            f"worker {claim.worker} died",
            "",
            claim.relay,
        )
        for claim in map(lost_claim, rows)
    ]
    if lost:
        tx.execute(st.sql(tx.dialect).put_attempts, {"rows": records.packed_rows(lost)})
