"""This room holds one mail's transaction: how far it got, and what is to be said when it ends."""

from dataclasses import dataclass, field

from envoi.core.delivery import Doubtful, Outcome, Reply, Stage, Unreachable
from envoi.transport.reply import Answer

# RFC 4954 6 and RFC 3207 4: not this mail, but how we signed in, is what the relay dislikes.
_AUTH_CODES = frozenset({530, 534, 535, 538})


@dataclass(eq=False)
class Mail:
    """A transaction under way.

    Args:
        delivery_id: Whose it is.
        envelope: Its MAIL and RCPT lines.
        content: As it goes over the wire, with its final dot, or behind its BDAT; then empty.
        is_chunked: Whether it goes by BDAT.
        stage: The command whose answer comes next.
        refusal: The first no; believed when what must follow it came in its place.
        dot_at: Position in the stream behind its last byte; 0 while that has not been queued.
        has_answer: Whether the relay answered a command of it.
        is_said: Whether any of it was queued.
        is_finished: Whether its outcome was told.
    """

    delivery_id: int
    envelope: bytes
    content: bytes
    is_chunked: bool
    # Of the class until they change: one is made for every mail.
    stage: Stage = field(default=Stage.MAIL, init=False)
    refusal: Reply | None = field(default=None, init=False)
    dot_at: int = field(default=0, init=False)
    has_answer: bool = field(default=False, init=False)
    is_said: bool = field(default=False, init=False)
    is_finished: bool = field(default=False, init=False)


def fate(mail: Mail, because: str, *, is_whole: bool, is_shifted: bool) -> Outcome:
    """Say what became of a mail when the connection ended.

    Args:
        mail: As far as it got.
        because: Why it ended.
        is_whole: Whether its last byte was written, and the relay may have looked at it.
        is_shifted: Whether the answers had got out of step, so that none can be believed.
    """
    if is_whole:
        return Doubtful(because=f"{because}, after the content and before its answer")
    if mail.refusal is not None and not is_shifted:
        return mail.refusal
    return Unreachable(stage=mail.stage, because=because, had_turn=mail.has_answer)


def is_about_auth(answer: Answer, stage: Stage) -> bool:
    """Whether a refusal of MAIL, RCPT or DATA means that we are not signed in.

    At MAIL the four codes have no other use. Later some relays use them for a recipient, so
    there the enhanced code must say it too (RFC 3463 X.7: security or policy).
    """
    if answer.code not in _AUTH_CODES:
        return False
    return stage is Stage.MAIL or answer.lines[0].startswith(b"5.7.")
