"""This room walks to a relay step by step and says in plain words how far it came.

For an operator at a terminal: the same steps as a worker takes, over a connection of its own, that
sends no mail. Whatever goes wrong is a step that is not well, never an exception, and no step says
a password.
"""

import itertools
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from envoi.core.delivery import Stage
from envoi.core.people import Address
from envoi.transport.advice import TroubleError
from envoi.transport.dialogue import Dialogue
from envoi.transport.options import RelayOptions
from envoi.transport.reply import Answer
from envoi.transport.smtp import Door, Hello, Place, make_context

# OpenSSL's X509_V_FLAG_NO_CHECK_TIME, to read an expired certificate's dates; Python names it not.
_NO_CHECK_TIME = 0x200000
_RELAYS_OWN_WORDS = "see what the relay says, and its log"

_WINDOW_NEEDS = ("PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES")

# As ssl.SSLSocket.getpeercert returns it.
Certificate: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the walk.

    Args:
        name: `DNS`, `connect`, `TLS`, `certificate`, `greeting`, `EHLO`, `AUTH`, `window` or
            `MAIL`.
        is_ok: Whether it went well; the walk ends with the first that does not.
        said: What was found, or the relay's own words.
        advice: What to do, where it did not go well.
    """

    name: str
    is_ok: bool
    said: str
    advice: str = ""


_NAMES = {
    Stage.CONNECT: "connect",
    Stage.GREETING: "greeting",
    Stage.EHLO: "EHLO",
    Stage.TLS: "TLS",
    Stage.AUTH: "AUTH",
    Stage.MAIL: "MAIL",
}


def walk_relay(options: RelayOptions, mail_from: Address | None = None) -> Iterator[Step]:
    """Walk to the relay; yields each step when it is done, ends with the first that fails.

    Args:
        options: The relay.
        mail_from: Envelope sender to offer; None: the null sender.
    """
    door = Door(options)
    try:
        places = door.resolve()
    except TroubleError as err:
        yield _failed("DNS", err)
        return
    yield Step(name="DNS", is_ok=True, said=f"{options.host} is {', '.join(_hosts(places))}")
    try:
        dialogue = door.connect()
    except TroubleError as err:
        yield _failed("connect", err)
        return
    yield Step(name="connect", is_ok=True, said=f"connected to {_peer(dialogue)}")
    try:
        yield from _converse(door, dialogue, mail_from)
    except TroubleError as err:
        yield _failed(_NAMES.get(err.trouble.stage, "connect"), err)
        if err.trouble.stage is Stage.TLS:
            yield from _shown_certificate(options)
    finally:
        dialogue.leave()


def _converse(door: Door, dialogue: Dialogue, mail_from: Address | None) -> Iterator[Step]:
    options = door.options
    if options.tls == "tls":
        yield from _secure(door, dialogue)
    greeting = door.greet(dialogue)
    yield Step(name="greeting", is_ok=True, said=dialogue.scrubber.text(greeting))
    hello = door.hello(dialogue)
    yield _hello_step(hello)
    if door.wants_starttls(dialogue, hello):
        door.start_tls(dialogue, hello)
        yield _tls_step(dialogue)
        yield from _certificate_steps(options, dialogue)
        hello = door.hello(dialogue)
        yield _hello_step(hello)
    if not dialogue.is_secure:
        yield Step(name="TLS", is_ok=True, said="none: mail goes in clear")
    if options.username:
        door.sign_in(dialogue, hello)
        yield Step(name="AUTH", is_ok=True, said=f"signed in as {options.username}")
    else:
        yield Step(name="AUTH", is_ok=True, said="not needed: smtp.username is empty")
    if options.window > 1:
        yield _window_step(options.window, hello)
    yield _mail_step(dialogue, mail_from)


def _secure(door: Door, dialogue: Dialogue) -> Iterator[Step]:
    door.secure(dialogue)
    yield _tls_step(dialogue)
    yield from _certificate_steps(door.options, dialogue)


def _mail_step(dialogue: Dialogue, mail_from: Address | None) -> Step:
    answer = dialogue.ask(Stage.MAIL, f"MAIL FROM:<{mail_from or ''}>")
    said = f"{answer.code} {dialogue.scrubber.text(answer)}".rstrip()
    if not answer.is_positive:
        return Step(name="MAIL", is_ok=False, said=said, advice=_mail_advice(answer, mail_from))
    dialogue.ask(Stage.MAIL, "RSET")
    return Step(name="MAIL", is_ok=True, said=f"{said}; taken back, nothing was sent")


def _mail_advice(answer: Answer, mail_from: Address | None) -> str:
    # RFC 4954 6: 530 is the code for "authentication required".
    if answer.code == 530:  # noqa: PLR2004 # SMTP's own number
        return "the relay wants a sign-in: set smtp.username and smtp.password"
    if answer.code < 500:  # noqa: PLR2004 # as above
        return "the relay cannot take mail just now: try again, and see its log"
    sender = mail_from or "the null sender"
    return (
        f"the relay takes no mail from {sender}: set application.from or smtp.mail_from to an "
        "address that it sends for, or allow this machine there"
    )


def _hello_step(hello: Hello) -> Step:
    return Step(name="EHLO", is_ok=True, said=f"offers {', '.join(hello.words) or 'nothing'}")


def _window_step(window: int, hello: Hello) -> Step:
    if hello.capabilities.can_chunk:
        said = f"up to {window} mails under way on each connection"
        return Step(name="window", is_ok=True, said=said)
    missing = [word for word in _WINDOW_NEEDS if word not in hello.words]
    said = f"one mail at a time: the relay does not offer {', '.join(missing)}"
    return Step(name="window", is_ok=True, said=said, advice="smtp.window is of no use here")


def _tls_step(dialogue: Dialogue) -> Step:
    sock = cast("ssl.SSLSocket", dialogue.sock)
    cipher = sock.cipher()
    return Step(name="TLS", is_ok=True, said=f"{sock.version()}, {cipher[0] if cipher else ''}")


def _certificate_steps(options: RelayOptions, dialogue: Dialogue) -> Iterator[Step]:
    certificate = cast("ssl.SSLSocket", dialogue.sock).getpeercert()
    if certificate:
        yield Step(name="certificate", is_ok=True, said=_about(cast("Certificate", certificate)))
    elif not options.verify:
        advice = "set smtp.verify = true, with smtp.ca_file for a CA of your own"
        yield Step(
            name="certificate", is_ok=True, said="not verified: smtp.verify is off", advice=advice
        )


def _shown_certificate(options: RelayOptions) -> Iterator[Step]:
    """What the certificate that was refused says of itself."""
    try:
        certificate = _read_refused(options)
    except (TroubleError, OSError, ValueError):
        return
    if certificate:
        advice = "this is what the relay shows; compare it with what smtp.host expects"
        yield Step(name="certificate", is_ok=False, said=_about(certificate), advice=advice)


def _read_refused(options: RelayOptions) -> Certificate | None:
    # The standard library reads a certificate only once it trusts it. So it is fetched without
    # trust, and then trusted alone, on a connection that carries nothing.
    naive = make_context(options)
    naive.check_hostname = False
    naive.verify_mode = ssl.CERT_NONE
    _, der = _peer_certificate(options, naive)
    if der is None:
        return None
    reader = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    reader.check_hostname = False
    reader.load_verify_locations(cadata=der)
    reader.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    return _peer_certificate(options, reader)[0]


def _peer_certificate(
    options: RelayOptions, context: ssl.SSLContext
) -> tuple[Certificate | None, bytes | None]:
    """Return the relay's certificate, read if the context trusts it, and as it came."""
    door = Door(options, context)
    dialogue = door.connect()
    try:
        if options.tls == "tls":
            door.secure(dialogue)
        else:
            door.greet(dialogue)
            door.start_tls(dialogue, door.hello(dialogue))
        sock = cast("ssl.SSLSocket", dialogue.sock)
        return cast("Certificate | None", sock.getpeercert()), sock.getpeercert(binary_form=True)
    finally:
        dialogue.leave()


def _about(certificate: Certificate) -> str:
    names = [
        name for _, name in cast("list[tuple[str, str]]", certificate.get("subjectAltName", ()))
    ]
    subject = _name_of(certificate.get("subject"))
    return (
        f"for {', '.join(names) or subject} (subject {subject}), "
        f"issued by {_name_of(certificate.get('issuer'))}, "
        f"valid {certificate.get('notBefore')} to {certificate.get('notAfter')}"
    )


def _name_of(parts: object) -> str:
    groups = cast("tuple[tuple[tuple[str, str], ...], ...]", parts or ())
    pairs = itertools.chain.from_iterable(groups)
    return ", ".join(f"{key}={value}" for key, value in pairs) or "nobody"


def _failed(name: str, err: TroubleError) -> Step:
    trouble = err.trouble
    return Step(
        name=name, is_ok=False, said=trouble.because, advice=trouble.advice or _RELAYS_OWN_WORDS
    )


def _hosts(places: Sequence[tuple[object, Place]]) -> list[str]:
    return list(dict.fromkeys(str(place[0]) for _, place in places))


def _peer(dialogue: Dialogue) -> str:
    host, port = dialogue.sock.getpeername()[:2]
    return f"{host} port {port}"
