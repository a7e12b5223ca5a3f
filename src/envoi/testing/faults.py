"""This room names the misbehaviours that a `FaultyRelay` can do, and says when it does which."""

import threading
from collections.abc import Iterable
from enum import StrEnum


class Fault(StrEnum):
    """What a relay does wrong, once, at its place in the conversation."""

    NONE = ""  # nothing
    # When somebody connects.
    GREET_421 = "greet_421"  # greets "not now" and hangs up
    GREET_554 = "greet_554"  # greets "no mail here" and hangs up
    GARBAGE = "garbage"  # speaks something that is not SMTP
    ACCEPT_CLOSE = "accept_close"  # hangs up without a word
    HANG_GREET = "hang_greet"  # keeps silent
    SLOWLORIS = "slowloris"  # greets one byte at a time, without end
    EHLO_421 = "ehlo_421"  # answers EHLO "not now"
    EHLO_502 = "ehlo_502"  # knows HELO only
    LONG_REPLY = "long_reply"  # answers EHLO with 20,000 lines
    STARTTLS_STRIPPED = "starttls_stripped"  # somebody on the way hides STARTTLS
    STARTTLS_454 = "starttls_454"  # offers STARTTLS and then cannot
    TLS_ABORT = "tls_abort"  # hangs up in the middle of the handshake
    STARTTLS_INJECT = "starttls_inject"  # clear text lines behind "220 ready"
    AUTH_535 = "auth_535"  # refuses the password, echoing it
    AUTH_454 = "auth_454"  # cannot check passwords just now
    AUTH_530 = "auth_530"  # wants TLS before AUTH
    # When a mail is offered.
    MAIL_451 = "mail_451"
    MAIL_421 = "mail_421"  # and hangs up, as after every 421
    MAIL_530 = "mail_530"  # wants us to sign in
    MAIL_550 = "mail_550"
    MAIL_DROP = "mail_drop"  # hangs up without an answer
    RCPT_421 = "rcpt_421"
    RCPT_450 = "rcpt_450"
    RCPT_550 = "rcpt_550"
    RCPT_550_354 = "rcpt_550_354"  # refuses the recipient and takes DATA nevertheless
    RCPT_DROP = "rcpt_drop"
    DATA_250 = "data_250"  # answers DATA with 250 instead of 354
    DATA_421 = "data_421"
    DATA_451 = "data_451"
    DATA_554 = "data_554"
    DROP_ON_354 = "drop_on_354"  # hangs up right behind 354
    DROP_IN_DATA = "drop_in_data"  # hangs up in the middle of the content
    HANG_IN_DATA = "hang_in_data"  # reads no more in the middle of the content
    BDAT_502 = "bdat_502"  # offers CHUNKING and does not know BDAT
    END_421 = "end_421"  # answers the content so
    END_451 = "end_451"
    END_452 = "end_452"
    END_554 = "end_554"
    DROP_UNKEPT = "drop_unkept"  # hangs up behind the final dot, mail thrown away
    DROP_KEPT = "drop_kept"  # hangs up behind the final dot, mail kept
    HANG_KEPT = "hang_kept"  # keeps the mail and never answers
    KEPT_451 = "kept_451"  # keeps the mail and says it did not
    KEPT_421 = "kept_421"
    SLOW_ACK = "slow_ack"  # keeps the mail and answers after `RelayTraits.slow_s`
    SLOW_554 = "slow_554"  # refuses the content after `RelayTraits.slow_s`
    CLOSE_AFTER_250 = "close_after_250"
    LIE_250 = "lie_250"  # says 250 and throws the mail away
    # When replies get out of step (R13).
    DESYNC = "desync"  # one reply too many behind MAIL
    DESYNC_DATA = "desync_data"  # one 250 too many behind 354


# Recipients whose local part begins so are always treated so, whatever the script says. Every
# fault of a mail's own can be had by its name too: `end_451-ann@example.org`.
PREFIXES = {
    "perm-": Fault.RCPT_550,
    "temp-": Fault.RCPT_450,
    "dataperm-": Fault.END_554,
    "slowack-": Fault.SLOW_ACK,
    "dropdata-": Fault.DROP_IN_DATA,
    **{f"{fault}-": fault for fault in Fault if fault},
}

# What is said in place of the greeting, before hanging up.
GREETINGS = {
    Fault.GARBAGE: "HTTP/1.1 400 Bad Request",
    Fault.GREET_421: "421 4.3.2 too busy, come back later",
    Fault.GREET_554: "554 5.7.1 no mail from you",
}
# What is answered in place of the usual; a 421 also hangs up.
AT_MAIL = {
    Fault.MAIL_421: "421 4.3.2 closing, come back later",
    Fault.MAIL_451: "451 4.3.0 not just now",
    Fault.MAIL_530: "530 5.7.0 authentication required",
    Fault.MAIL_550: "550 5.7.1 we take nothing from this sender",
}
AT_RCPT = {
    Fault.RCPT_421: "421 4.3.2 closing, come back later",
    Fault.RCPT_450: "450 4.2.1 mailbox busy",
    Fault.RCPT_550: "550 5.1.1 no such user",
    Fault.RCPT_550_354: "550 5.1.1 no such user",
}
AT_DATA = {
    Fault.DATA_250: "250 2.0.0 ok",
    Fault.DATA_421: "421 4.3.2 closing, come back later",
    Fault.DATA_451: "451 4.3.0 not just now",
    Fault.DATA_554: "554 5.7.1 we do not want it",
}
AT_CHUNK = {
    Fault.BDAT_502: "502 5.5.2 what is BDAT",
    Fault.DATA_421: AT_DATA[Fault.DATA_421],
    Fault.DATA_451: AT_DATA[Fault.DATA_451],
    Fault.DATA_554: AT_DATA[Fault.DATA_554],
}
AT_END = {
    Fault.END_421: "421 4.3.2 closing, come back later",
    Fault.END_451: "451 4.3.0 not just now",
    Fault.END_452: "452 4.3.1 disk full",
    Fault.END_554: "554 5.6.0 content refused",
    Fault.SLOW_554: "554 5.6.0 content refused, after a long look",
    Fault.KEPT_421: "421 4.3.2 closing, come back later",
    Fault.KEPT_451: "451 4.3.0 not just now",
}
# The mail is on the relay's disk although the client hears no 2xx.
KEPT_UNSAID = frozenset({Fault.DROP_KEPT, Fault.HANG_KEPT, Fault.KEPT_421, Fault.KEPT_451})


def fault_of(recipient: str) -> Fault:
    """Return the fault that an address asks for by its local part.

    >>> fault_of("perm-ann@example.org"), fault_of("ann@example.org")
    (<Fault.RCPT_550: 'rcpt_550'>, <Fault.NONE: ''>)
    """
    matches = [prefix for prefix in PREFIXES if recipient.startswith(prefix)]
    return PREFIXES[max(matches, key=len)] if matches else Fault.NONE


class Script:
    """Which fault comes when: a list that is used up, then one for ever.

    >>> script = Script(["greet_421"], then="")
    >>> script.next(), script.next()
    (<Fault.GREET_421: 'greet_421'>, <Fault.NONE: ''>)
    """

    def __init__(self, faults: Iterable[str] = (), *, then: str = "") -> None:
        """Take names or members of `Fault`."""
        self._lock = threading.Lock()
        self._faults = [Fault(fault) for fault in faults]
        self._then = Fault(then)

    def play(self, faults: Iterable[str], *, then: str = "") -> None:
        """Begin a new list."""
        with self._lock:
            self._faults = [Fault(fault) for fault in faults]
            self._then = Fault(then)

    def next(self) -> Fault:
        """Return the fault of the next connection or mail."""
        with self._lock:
            return self._faults.pop(0) if self._faults else self._then
