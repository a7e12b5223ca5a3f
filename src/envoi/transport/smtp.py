"""This room opens connections to a relay and secures them: name, TCP, greeting, TLS, sign-in.

It blocks, and runs in a small thread for each connection being opened, so that the loop that
carries mail never waits for it. Whatever fails here is trouble of the relay, never of a mail.

Which way a connection is secured is decided here and nowhere else: `tls` and `starttls` are never
downgraded, certificates are always verified unless a setting says otherwise, and a password goes
in clear to this machine only.
"""

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import TypeAlias

from envoi.core.delivery import Stage
from envoi.seams import Capabilities
from envoi.transport.advice import connect_trouble, name_trouble, trouble
from envoi.transport.auth import secret_forms, sign_in
from envoi.transport.dialogue import Dialogue
from envoi.transport.options import RelayOptions
from envoi.transport.reply import Answer, Scrubber

__all__ = ["Door", "Hello", "Opened", "Place", "RelayOptions", "make_context", "read_hello"]

# As getaddrinfo returns it; all four parts of IPv6 are needed for link-local addresses.
Place: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]

# RFC 5321 3.2: a server that does not know EHLO answers so; 550 and 554 are seen too.
_UNKNOWN_EHLO = frozenset({500, 501, 502, 503, 504, 550, 554})
_GREETED = 220


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a relay said to EHLO.

    Args:
        capabilities: What mail needs to know.
        words: Every line, upper case, for looking things up and for showing.
        auth: Mechanisms offered.
    """

    capabilities: Capabilities
    words: tuple[str, ...]
    auth: tuple[str, ...]

    @property
    def has_starttls(self) -> bool:
        """Whether the relay can turn to TLS."""
        return "STARTTLS" in self.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A connection ready for mail.

    Args:
        sock: Ours to close; blocking still.
        capabilities: As offered last, inside TLS where there is TLS.
        scrubber: Knows the secrets.
    """

    sock: socket.socket
    capabilities: Capabilities
    scrubber: Scrubber


class Door:
    """Opens connections to one relay.

    Args:
        options: The relay.
        context: TLS context to use; default: one that verifies, as the options say.
    """

    def __init__(self, options: RelayOptions, context: ssl.SSLContext | None = None) -> None:
        """Prepare; nothing is looked up or opened yet."""
        self.options = options
        self.scrubber = Scrubber(*secret_forms(options.username, options.password.reveal()))
        self._context = context

    def open(self) -> Opened:
        """Return a connection ready for mail.

        Raises:
            TroubleError: Says at which step it failed and what to do.
        """
        dialogue = self.connect()
        try:
            hello = self.prepare(dialogue)
        except BaseException:
            dialogue.close()
            raise
        return Opened(
            sock=dialogue.sock, capabilities=hello.capabilities, scrubber=dialogue.scrubber
        )

    def prepare(self, dialogue: Dialogue) -> Hello:
        """Take a fresh connection through greeting, EHLO, TLS and AUTH."""
        if self.options.tls == "tls":
            self.secure(dialogue)
        self.greet(dialogue)
        hello = self.hello(dialogue)
        if self.wants_starttls(dialogue, hello):
            self.start_tls(dialogue, hello)
            # RFC 3207 4.2: "The client MUST discard any knowledge obtained from the server".
            hello = self.hello(dialogue)
        if self.options.username:
            self.sign_in(dialogue, hello)
        dialogue.refuse_early_words(Stage.EHLO)
        return hello

    # The steps, in the order of the walk.

    def resolve(self) -> list[tuple[socket.AddressFamily, Place]]:
        """Return the relay's addresses, in the system's order of preference."""
        try:
            found = socket.getaddrinfo(
                self.options.host, self.options.port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as err:
            cause = err if isinstance(err, OSError) else OSError(str(err))
            raise name_trouble(self.options.host, cause) from err
        return [(family, place) for family, _, _, _, place in found]

    def connect(self) -> Dialogue:
        """Return a connection to the first address that answers."""
        places = self.resolve()
        last: OSError = OSError("the name has no address")
        for family, place in places:
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                # Each gets its part, or a dead IPv6 route would use up the whole time.
                sock.settimeout(self.options.connect_timeout_s / len(places))
                sock.connect(place)
                # Content and the next envelope go in one write; waiting to fill a packet only
                # delays the last one.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as err:
                sock.close()
                last = err
                continue
            return Dialogue(sock, self.options.command_timeout_s, self.scrubber)
        raise connect_trouble(self.options.host, self.options.port, last) from last

    def greet(self, dialogue: Dialogue) -> Answer:
        """Hear the relay's greeting."""
        answer = dialogue.listen(Stage.GREETING)
        if answer.code != _GREETED:
            said = f"the relay greeted with {answer.code} {dialogue.scrubber.text(answer)}"
            raise trouble(
                Stage.GREETING,
                said.rstrip(),
                "see whether the relay takes mail from this machine, and how many connections",
            )
        return answer

    def hello(self, dialogue: Dialogue) -> Hello:
        """Introduce ourselves and hear what the relay can do."""
        name = self.options.helo or _own_name(dialogue.sock)
        answer = dialogue.ask(Stage.EHLO, f"EHLO {name}")
        if answer.code in _UNKNOWN_EHLO:
            answer = dialogue.ask(Stage.EHLO, f"HELO {name}")
            answer = Answer(answer.code, answer.lines[:1])
        if not answer.is_positive:
            said = f"the relay answered EHLO with {answer.code} {dialogue.scrubber.text(answer)}"
            raise trouble(Stage.EHLO, said.rstrip(), "set smtp.helo to a name that it accepts")
        return read_hello(answer)

    def wants_starttls(self, dialogue: Dialogue, hello: Hello) -> bool:
        """Whether TLS must start now; a password to another machine asks for it by itself."""
        if dialogue.is_secure:
            return False
        if self.options.tls == "starttls":
            return True
        if not self.options.username or self.options.allow_clear_password:
            return False
        if _is_loopback(dialogue.sock):
            return False
        if hello.has_starttls:
            return True
        raise trouble(
            Stage.TLS,
            "the relay offers no encryption, and the password would go in clear",
            "set smtp.tls = starttls or tls; where the network is trusted, "
            "smtp.allow_clear_password = true",
            needs_operator=True,
        )

    def start_tls(self, dialogue: Dialogue, hello: Hello) -> None:
        """Turn to TLS; nothing that was said in clear counts afterwards."""
        if not hello.has_starttls:
            raise trouble(
                Stage.TLS,
                "the relay does not offer STARTTLS, or somebody on the way hides it",
                "mail waits and nothing goes unencrypted; for a relay without TLS on a trusted "
                "network set smtp.tls = none",
                needs_operator=True,
            )
        answer = dialogue.ask(Stage.TLS, "STARTTLS")
        if answer.code != _GREETED:
            said = (
                f"the relay answered STARTTLS with {answer.code} {dialogue.scrubber.text(answer)}"
            )
            raise trouble(Stage.TLS, said.rstrip(), "see the relay's log")
        # What somebody on the way put behind the 220 is thrown away with the reader (T3).
        self.secure(dialogue)

    def secure(self, dialogue: Dialogue) -> None:
        """Put TLS on, verified."""
        dialogue.secure(self.context(), self.options.host, self.options.connect_timeout_s)

    def sign_in(self, dialogue: Dialogue, hello: Hello) -> None:
        """Sign in with the configured name and password."""
        sign_in(dialogue, self.options, hello.auth)

    def context(self) -> ssl.SSLContext:
        """Return the one TLS context of this relay; making one costs 16 ms."""
        if self._context is None:
            self._context = make_context(self.options)
        return self._context


def make_context(options: RelayOptions) -> ssl.SSLContext:
    """Return a TLS context that verifies, unless the options name the risk.

    Raises:
        TroubleError: `ca_file` cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
    except OSError as err:
        raise trouble(
            Stage.TLS,
            f"smtp.ca_file {options.ca_file} cannot be read: {err.strerror or err}",
            "name a readable file of PEM certificates",
            needs_operator=True,
        ) from err
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def read_hello(answer: Answer) -> Hello:
    """Return what an EHLO reply offers; its first line is the relay's name."""
    words = tuple(line.decode("latin-1").strip().upper() for line in answer.lines[1:])
    sizes = [word.split()[1] for word in words if word.startswith("SIZE ")]
    # Some relays write `AUTH=PLAIN LOGIN`, a form from before RFC 2554.
    auth = {name for word in words if word[:5] in {"AUTH ", "AUTH="} for name in word[5:].split()}
    return Hello(
        capabilities=Capabilities(
            has_pipelining="PIPELINING" in words,
            has_8bitmime="8BITMIME" in words,
            has_smtputf8="SMTPUTF8" in words,
            has_chunking="CHUNKING" in words,
            has_enhanced_codes="ENHANCEDSTATUSCODES" in words,
            # RFC 1870 4 allows 20 digits; int() of a hostile 8,000 would raise.
            max_bytes=int(sizes[0][:20]) if sizes and sizes[0].isdecimal() else 0,
        ),
        words=words,
        auth=tuple(sorted(auth)),
    )


def _is_loopback(sock: socket.socket) -> bool:
    # The address that really answered decides; a name may point anywhere.
    place = str(sock.getpeername()[0]).split("%", maxsplit=1)[0]
    address = ipaddress.ip_address(place)
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _own_name(sock: socket.socket) -> str:
    # Asking the DNS for our own name can block for long; the host name or, without a domain, our
    # address is lawful (RFC 5321 4.1.3).
    name = socket.gethostname()
    if "." in name and name.isascii() and " " not in name:
        return name
    place = str(sock.getsockname()[0]).split("%", maxsplit=1)[0]
    return f"[IPv6:{place}]" if ":" in place else f"[{place}]"
