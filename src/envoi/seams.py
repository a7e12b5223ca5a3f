"""This room shows on one screen where others plug in: what Envoi needs, as Protocols.

Rooms below the mailer never import one another; they meet here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from envoi.core.delivery import Outcome, Stage
from envoi.core.message import Block, Context, Words
from envoi.core.people import Address
from envoi.core.routing import Audience, Because, Question

Row: TypeAlias = Sequence[object]
Params: TypeAlias = Mapping[str, object]


class Tx(Protocol):
    """An open transaction, ours or the caller's; statements use `:name` parameters."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    def execute(self, sql: str, params: Params) -> Sequence[Row]:
        """Run one statement; return its rows, none for a statement that returns nothing."""
        ...

    def execute_many(self, sql: str, params: Sequence[Params]) -> None:
        """Run one statement once per parameter set, as few round trips as the driver allows."""
        ...


class Directory(Protocol):
    """Who exists: our own tables, the host's tables, LDAP."""

    def count(self, tx: Tx, question: Question) -> int:
        """Return an upper bound of the people that the question finds, without loading them."""
        ...

    def audience(self, tx: Tx, question: Question, *, after: str = "", limit: int) -> Audience:
        """Return the next people that the question finds, each once, by ascending person id."""
        ...


@runtime_checkable
class Numbered(Protocol):
    """A directory that numbers its users and groups in the order in which they come."""

    def newest(self, tx: Tx) -> str:
        """Return the person id behind which nobody is yet; whoever comes will be."""
        ...

    def user_numbered(self, tx: Tx, number: int) -> str:
        """Return the login of the user with this number; empty when there is none."""
        ...

    def group_numbered(self, tx: Tx, number: int) -> str:
        """Return the name of the group with this number; empty when there is none."""
        ...


class Renderer(Protocol):
    """In which words: the templates."""

    def render(self, template: str, locale: str, time_zone: str, context: Context) -> Words:
        """Return the words of a template; raises `TemplateError` when it does not render."""
        ...

    def block(self, because: Because, locale: str, context: Context) -> Block:
        """Return the personal block that says why somebody reads this."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a relay offered after EHLO.

    Args:
        has_pipelining: RFC 2920.
        has_8bitmime: RFC 6152.
        has_smtputf8: RFC 6531.
        max_bytes: RFC 1870 SIZE; 0 when it names no limit.
        has_chunking: RFC 3030.
        has_enhanced_codes: RFC 2034.
    """

    has_pipelining: bool = False
    has_8bitmime: bool = False
    has_smtputf8: bool = False
    max_bytes: int = 0
    has_chunking: bool = False
    has_enhanced_codes: bool = False

    @property
    def can_chunk(self) -> bool:
        """Whether several contents may be under way at once, their answers told apart."""
        return self.has_pipelining and self.has_chunking and self.has_enhanced_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One claimed delivery as a transport needs it.

    Args:
        delivery_id: Row id, returned with every event about it.
        mail_from: Envelope sender; None is the null sender.
        recipient: Envelope recipient.
        wire: Makes the bytes for a relay's capabilities: CRLF line ends, not dot-stuffed.
    """

    delivery_id: int
    mail_from: Address | None
    recipient: Address
    wire: Callable[[Capabilities], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The relay waits for this delivery's content; it goes after `Carrier.permit`."""

    delivery_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What became of one delivery's attempt."""

    delivery_id: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTrouble:
    """The relay itself cannot be used at the moment; no delivery is to blame.

    Args:
        stage: Where it failed: connect, greeting, ehlo, tls or auth.
        because: In plain words, with the relay's own reply where there is one.
        advice: What an operator can do about it.
        needs_operator: Whether it will hardly repair itself (certificate, password).
    """

    stage: Stage
    because: str
    advice: str = ""
    needs_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayWell:
    """A connection to the relay is open and ready for mail."""

    relay: str


CarrierEvent: TypeAlias = Ready | Finished | RelayTrouble | RelayWell


class Carrier(Protocol):
    """Carries parcels over one relay's connections, driven by one thread.

    The order for each parcel is `load` -> `Ready` -> `permit` -> `Finished`. The worker records
    that a delivery is begun before it permits, so that after a crash only begun deliveries are in
    doubt. A parcel may be `Finished` without having been `Ready`.
    """

    def room(self) -> int:
        """Return how many more parcels can be loaded now; 0 while the relay is in trouble."""
        ...

    def load(self, parcel: Parcel) -> None:
        """Take a parcel to be carried."""
        ...

    def permit(self, delivery_ids: Sequence[int]) -> None:
        """Let the contents of these deliveries go."""
        ...

    def withdraw(self, delivery_ids: Sequence[int]) -> None:
        """Drop parcels whose lease was lost: their content never goes, nothing is told of them.

        A connection that waits for such a content is closed, which costs the relay nothing.
        """
        ...

    def turn(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Do what can be done now; wait at most `timeout_s` for the first event."""
        ...

    def wake(self) -> None:
        """Make a waiting `turn` return; the only method that other threads may call."""
        ...

    def retry_now(self) -> None:
        """Try the relay again after trouble."""
        ...

    def limit_connections(self, connections: int) -> None:
        """Change how many connections may be open; idle ones above it are closed."""
        ...

    def close(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Finish what is under way within the time, then close; tells what became of all."""
        ...
