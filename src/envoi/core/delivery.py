"""This room holds a delivery's life: its states, what a relay can answer, and the judgement.

A delivery is one message to one address. Its state changes only along `TRANSITIONS`; the picture
in ARCHITECTURE.md is drawn from that table. The judgement separates what people usually mix up:

* `Reply` about *this* recipient or content: 2xx sent, 4xx later, 5xx failed.
* `Unreachable`: the conversation ended before the relay could have taken the mail. Again later;
  nothing is in doubt.
* `Doubtful`: the content was on its way and no answer came. The relay may or may not have it
  (RFC 1047). A state of its own, because both "sent" and "failed" would be a lie.
* `Unsuitable`: this relay cannot carry this mail at all (SMTPUTF8, size). Held or failed; others
  go.
* trouble of the *relay* (greeting, TLS, AUTH) is not a delivery's outcome: nothing was tried for
  it, it goes back to the queue untouched and the relay is paused (`seams.RelayTrouble`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, assert_never

from envoi.core.kind import MailClass
from envoi.core.people import Address
from envoi.core.routing import Because


class State(StrEnum):
    """Where a delivery is."""

    QUEUED = "queued"  # waits for its due time
    SENDING = "sending"  # leased to a worker
    SENT = "sent"  # the relay answered 2xx to the content
    FAILED = "failed"  # refused for good, or given up
    UNCERTAIN = "uncertain"  # the content left, no answer came
    HELD = "held"  # leaves by hand only
    SUPPRESSED = "suppressed"  # the address must not be mailed
    CANCELLED = "cancelled"  # an operator took it back
    EXPIRED = "expired"  # later than it is worth anything

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself or by release."""
        return self in FINAL_STATES


FINAL_STATES = frozenset(
    {State.SENT, State.FAILED, State.SUPPRESSED, State.CANCELLED, State.EXPIRED}
)


class Move(StrEnum):
    """What can happen to a delivery; the verb of each row of `TRANSITIONS`."""

    CLAIM = "claim"
    SETTLE_SENT = "settle sent"
    SETTLE_RETRY = "settle retry"
    SETTLE_FAILED = "settle failed"
    SETTLE_UNCERTAIN = "settle uncertain"
    SETTLE_HELD = "settle held"
    SETTLE_SUPPRESSED = "settle suppressed"
    GIVE_BACK = "give back"
    EXPIRE = "expire"
    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    CANCEL = "cancel"


TRANSITIONS: dict[tuple[State, Move], State] = {
    (State.QUEUED, Move.CLAIM): State.SENDING,
    (State.UNCERTAIN, Move.CLAIM): State.SENDING,
    (State.SENDING, Move.SETTLE_SENT): State.SENT,
    (State.SENDING, Move.SETTLE_RETRY): State.QUEUED,
    (State.SENDING, Move.SETTLE_FAILED): State.FAILED,
    (State.SENDING, Move.SETTLE_UNCERTAIN): State.UNCERTAIN,
    (State.SENDING, Move.SETTLE_HELD): State.HELD,
    (State.SENDING, Move.SETTLE_SUPPRESSED): State.SUPPRESSED,
    (State.SENDING, Move.GIVE_BACK): State.QUEUED,
    (State.QUEUED, Move.EXPIRE): State.EXPIRED,
    (State.UNCERTAIN, Move.EXPIRE): State.EXPIRED,
    (State.HELD, Move.EXPIRE): State.EXPIRED,
    (State.QUEUED, Move.HOLD): State.HELD,
    (State.UNCERTAIN, Move.HOLD): State.HELD,
    (State.HELD, Move.RELEASE): State.QUEUED,
    (State.QUEUED, Move.RETRY): State.QUEUED,
    (State.UNCERTAIN, Move.RETRY): State.QUEUED,
    (State.FAILED, Move.RETRY): State.QUEUED,
    (State.CANCELLED, Move.RETRY): State.QUEUED,
    (State.QUEUED, Move.CANCEL): State.CANCELLED,
    (State.UNCERTAIN, Move.CANCEL): State.CANCELLED,
    (State.HELD, Move.CANCEL): State.CANCELLED,
}


def states_for(move: Move) -> tuple[State, ...]:
    """Return the states from which the move is allowed, in table order."""
    return tuple(state for state, candidate in TRANSITIONS if candidate is move)


class Stage(StrEnum):
    """How far a conversation with a relay got."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"  # the final dot was sent

    @property
    def is_transaction(self) -> bool:
        """Whether a reply here is about one mail, and not about the relay as such."""
        return self in {Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.CONTENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The relay's answer to one command about one delivery.

    Args:
        stage: The command it answers.
        code: Three digits, 200..599.
        text: The rest of the reply, lines joined, cut to 512 characters and scrubbed.
    """

    stage: Stage
    code: int
    text: str = ""

    def __str__(self) -> str:
        """Return the reply as the relay wrote it."""
        return f"{self.code} {self.text}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """The conversation ended before this delivery's final dot; the relay cannot have the mail.

    Args:
        stage: Where it ended.
        because: In plain words.
        had_turn: Whether the relay had answered a command of this delivery. Then it waits like
            a refusal, or a mail that makes the relay hang up would be offered in a tight loop.
    """

    stage: Stage
    because: str
    had_turn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubtful:
    """The final dot may have reached the relay and no answer came back.

    Args:
        because: In plain words.
        waited_ms: How long the doubt has lasted; for a dead worker's delivery its lease.
    """

    because: str
    waited_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuitable:
    """This relay lacks what this mail needs.

    Args:
        because: The need in plain words, e.g. `the address needs SMTPUTF8`.
        is_final: True when no relay's repair would help (larger than its SIZE).
    """

    because: str
    is_final: bool = False


Outcome: TypeAlias = Reply | Unreachable | Doubtful | Unsuitable


def stage_of(outcome: Outcome) -> Stage:
    """Return how far the conversation about a delivery got.

    >>> stage_of(Doubtful(because="cut"))
    <Stage.CONTENT: 'content'>
    """
    match outcome:
        case Reply(stage=stage) | Unreachable(stage=stage):
            return stage
        case Doubtful():
            return Stage.CONTENT
        case Unsuitable():
            return Stage.MAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The relay took the mail."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Again at `due_at_ms`; `is_refusal` when the relay itself asked for later."""

    because: str
    due_at_ms: int
    is_refusal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """For good."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """Nobody knows; tried again at `due_at_ms` with the same Message-ID."""

    because: str
    due_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Kept until an operator decides."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """Never had its turn: queued again, due at once, not counted as refused."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppress:
    """Must not be mailed: the staging guard or a suppression forbids the address."""

    because: str


Verdict: TypeAlias = Sent | Retry | Failed | Uncertain | Hold | GiveBack | Suppress


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often to try.

    Args:
        first_retry_ms: Wait after the first refusal. Too short looks like hammering, too long
            delays mail behind greylisting. Default one minute.
        longest_retry_ms: Doubling stops here. Default one hour.
        give_up_after_ms: Age at which a delivery fails for good. Default five days (RFC 5321
            4.5.4.1: "at least 4-5 days").
        uncertain_wait_ms: Wait before an uncertain delivery is tried again, counted from when
            the doubt began and doubled with each claim up to 64 times, unless it is security
            mail, which goes again at once. Default one minute.
        hold_uncertain: Classes whose deliveries wait for a person instead. Default none.
    """

    first_retry_ms: int = 60_000
    longest_retry_ms: int = 3_600_000
    give_up_after_ms: int = 5 * 86_400_000
    uncertain_wait_ms: int = 60_000
    hold_uncertain: frozenset[MailClass] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one address: a row of the outbox as the worker sees it.

    Args:
        id: Row id; 0 before it is stored.
        message_id: Row id of its message.
        event_id: Row id of its event.
        ordinal: Position within its message, from 1; part of its Message-ID header.
        address: Where it goes.
        name: Display name for To; may be empty.
        person: Stable id in the directory.
        sender: Name of the sender that chose the person.
        because: Why this person.
        mail_class: Its place in the queue.
        transport: Name of the relay.
        state: Where it is.
        due_at_ms: Not before.
        created_at_ms: When it was stored, or last released by hand: patience counts from here.
        expires_at_ms: Worthless after; 0 for never.
        claims: How often it was claimed; the fence of every settle.
        refusals: How often a relay asked for later.
    """

    id: int = 0
    message_id: int = 0
    event_id: int = 0
    ordinal: int = 1
    address: Address
    name: str = ""
    person: str
    sender: str
    because: Because
    mail_class: MailClass
    transport: str = "default"
    state: State = State.QUEUED
    due_at_ms: int
    created_at_ms: int
    expires_at_ms: int = 0
    claims: int = 0
    refusals: int = 0


def judge(
    delivery: Delivery, outcome: Outcome, now_ms: int, patience: Patience, dice: float
) -> Verdict:
    """Say what an outcome means for its delivery.

    Args:
        delivery: As claimed.
        outcome: What the transport saw.
        now_ms: The clock.
        patience: The limits.
        dice: Uniform in 0..1, spreads retries so that a herd does not return at once.
    """
    match outcome:
        case Reply(stage=Stage.CONTENT, code=code) if 200 <= code < 300:  # noqa: PLR2004 # SMTP's own number
            return Sent(because=str(outcome))
        case Reply(stage=stage) if not stage.is_transaction:
            return _untried(delivery, str(outcome), now_ms, patience)
        case Reply(code=code) if 500 <= code < 600:  # noqa: PLR2004 # SMTP's own number
            return Failed(because=str(outcome))
        case Reply():
            return _later(delivery, str(outcome), now_ms, patience, dice)
        case Doubtful():
            return _again(delivery, outcome, now_ms, patience)
        case Unreachable(because=because, had_turn=True):
            return _later(delivery, because, now_ms, patience, dice)
        case Unreachable(because=because):
            return _untried(delivery, because, now_ms, patience)
        case Unsuitable(because=because, is_final=True):
            return Failed(because=because)
        case Unsuitable(because=because):
            return Hold(because=because)
        case _:  # pragma: no cover - mypy proves that there is no other
            assert_never(outcome)


def retry_wait_ms(refusals: int, patience: Patience, dice: float) -> int:
    """Return the wait after the given number of refusals: doubling, up to a quarter longer.

    The jitter only lengthens: a relay never sees a shorter gap than it was promised.

    >>> [retry_wait_ms(n, Patience(), 0.0) // 1000 for n in (1, 2, 3, 10)]
    [60, 120, 240, 3600]
    """
    doubled = patience.first_retry_ms * 2 ** min(max(refusals, 1) - 1, 32)
    return int(min(doubled, patience.longest_retry_ms) * (1 + dice / 4))


def _later(
    delivery: Delivery, because: str, now_ms: int, patience: Patience, dice: float
) -> Verdict:
    due_at_ms = now_ms + retry_wait_ms(delivery.refusals + 1, patience, dice)
    if _is_too_old(delivery, now_ms, patience):
        return Failed(because=f"given up, last answer: {because}")
    return Retry(because=because, due_at_ms=due_at_ms, is_refusal=True)


def _again(delivery: Delivery, doubt: Doubtful, now_ms: int, patience: Patience) -> Verdict:
    if delivery.mail_class in patience.hold_uncertain:
        return Hold(because=f"perhaps sent, for you to decide: {doubt.because}")
    if _is_too_old(delivery, now_ms, patience):
        return Hold(because=f"still unknown after {delivery.claims} attempts: {doubt.because}")
    # The first doubt about security mail costs a second copy at once rather than a locked-out
    # person; after that it waits like everything else.
    is_urgent = delivery.mail_class is MailClass.SECURITY and delivery.claims <= 1
    doubled = patience.uncertain_wait_ms * 2 ** min(max(delivery.claims, 1) - 1, 6)
    wait_ms = 0 if is_urgent else max(0, doubled - doubt.waited_ms)
    return Uncertain(because=doubt.because, due_at_ms=now_ms + wait_ms)


def _untried(delivery: Delivery, because: str, now_ms: int, patience: Patience) -> Verdict:
    if _is_too_old(delivery, now_ms, patience):
        return Failed(because=f"given up, never reached the relay: {because}")
    return GiveBack(because=because)


def _is_too_old(delivery: Delivery, now_ms: int, patience: Patience) -> bool:
    return now_ms - delivery.created_at_ms >= patience.give_up_after_ms
