"""A relay without a socket for the session's tests, and a client that carries mails over it."""

from collections import deque
from dataclasses import dataclass, field

from envoi.core.delivery import Outcome, Reply, Stage
from envoi.seams import Capabilities, Finished, Ready
from envoi.transport.protocol import Session
from tests.transport.rounds import parcel

STEPS = ("MAIL", "RCPT", "DATA", "CONTENT")
USUAL = {
    "RSET": b"250 2.0.0 reset\r\n",
    "MAIL": b"250 2.1.0 ok\r\n",
    "RCPT": b"250 2.1.5 ok\r\n",
    "DATA": b"354 ok\r\n",
    "CONTENT": b"250 2.0.0 ok\r\n",
}
NOT_NOW = b"503 5.5.1 no valid recipients\r\n"


@dataclass
class ModelRelay:
    """A relay that answers each command once, as its script says, by mail and command.

    Args:
        script: Reply bytes for (mail, command); `None` hangs up; else the usual.
        stray: Bytes said in addition behind the n-th reply.

    Attributes:
        completed: Mails for a valid recipient whose content it has in whole.
        refused: Those whose content it answered with anything but a 2xx.
    """

    script: dict[tuple[int, str], bytes | None] = field(default_factory=dict)
    stray: dict[int, bytes] = field(default_factory=dict)
    completed: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    said: bytes = b""
    has_hung_up: bool = False
    chunks: int = 0
    _heard: bytes = b""
    _mail: int = 0
    _is_valid: bool = False
    _in_content: bool = False
    _replies: int = 0

    def hear(self, data: bytes) -> None:
        self._heard += data
        while not self.has_hung_up and self._take():
            pass

    def _take(self) -> bool:
        if self._in_content:
            content, found, rest = (b"\r\n" + self._heard).partition(b"\r\n.\r\n")
            if not found:
                return False
            self._heard, self._in_content = rest, False
            self._keep(content, is_valid=bool(content))
            return True
        line, found, rest = self._heard.partition(b"\r\n")
        if not found:
            return False
        verb = line[:4].decode()
        if verb == "BDAT":
            return self._take_chunk(int(line.split()[1]), rest)
        self._heard = rest
        if verb == "RCPT":
            self._mail = int(line.split(b"<m")[1].split(b"@")[0])
        self._answer(verb)
        return True

    def _take_chunk(self, size: int, rest: bytes) -> bool:
        if len(rest) < size:
            return False
        self._heard = rest[size:]
        self.chunks += 1
        if self._is_valid:
            self._keep(rest[:size], is_valid=True)
        else:
            self._say(NOT_NOW)
        return True

    def _keep(self, content: bytes, *, is_valid: bool) -> None:
        if is_valid:
            assert f"<{self._mail}@".encode() in content, "the content of another mail"
            self.completed.add(self._mail)
        self._answer("CONTENT")

    def _answer(self, verb: str) -> None:
        # MAIL comes before its recipient is known: mails are numbered in the order of MAIL.
        if verb == "MAIL":
            self._mail += 1
        reply = self.script.get((self._mail, verb), USUAL.get(verb, b"500 ok\r\n"))
        if reply is None:
            self.has_hung_up = True
            return
        self._in_content = verb == "DATA" and reply.startswith(b"354")
        if verb in {"MAIL", "RCPT"}:
            self._is_valid = reply.startswith(b"2") and (verb == "MAIL" or self._is_valid)
        if verb == "CONTENT" and not reply.startswith(b"2"):
            self.refused.add(self._mail)
        self._say(reply)
        self.has_hung_up = reply.startswith(b"421")

    def _say(self, reply: bytes) -> None:
        self.said += reply + self.stray.get(self._replies, b"")
        self._replies += 1


class Client:
    """Carries mails 1 to `count` over one session, permitting each as soon as it is ready."""

    def __init__(self, relay: ModelRelay, count: int, offer: Capabilities, window: int) -> None:
        self.relay = relay
        self.window = window
        self.session = Session(offer, window=window)
        self.waiting = deque(range(1, count + 1))
        self.permitted: set[int] = set()
        self.outcomes: dict[int, Outcome] = {}

    def offer_next(self) -> None:
        if self.waiting and self.session.can_take:
            number = self.waiting.popleft()
            self.session.offer(parcel(number, f"m{number}"))

    def write(self) -> None:
        outgoing = bytes(self.session.outgoing)
        self.session.wrote(len(outgoing))
        self.relay.hear(outgoing)

    def read(self, size: int | None) -> None:
        """Read so many bytes, or all there are; or see that the relay is gone."""
        if self.relay.said:
            self.session.received(self.relay.said[:size])
            self.relay.said = self.relay.said[size:] if size else b""
        elif self.relay.has_hung_up:
            self.session.lost("the relay closed the connection")

    def hear(self) -> None:
        while events := self.session.take_events():
            for event in events:
                if isinstance(event, Finished):
                    self._note(event.delivery_id, event.outcome)
            # The worker records what is finished before it permits what is ready.
            for event in events:
                if isinstance(event, Ready):
                    self.permitted.add(event.delivery_id)
                    self.session.permit(event.delivery_id)
                self.offer_next()
            assert len(self.permitted) <= self.window, "more in doubt than the window allows"

    def _note(self, number: int, outcome: Outcome) -> None:
        assert number not in self.outcomes, "two outcomes for one delivery"
        assert number in self.relay.completed or not is_sent(outcome), "sent unseen"
        self.outcomes[number] = outcome
        self.permitted.discard(number)

    @property
    def is_done(self) -> bool:
        has_words = self.relay.said or self.session.outgoing
        return self.session.is_over or (self.session.is_idle and not has_words)


def is_sent(outcome: Outcome) -> bool:
    return isinstance(outcome, Reply) and outcome.stage is Stage.CONTENT and outcome.code < 300


def converse(
    relay: ModelRelay, count: int, chops: list[int], offer: Capabilities, *, window: int = 1
) -> dict[int, Outcome]:
    """Carry mails over one session; the relay's bytes come in chunks of `chops`, then whole."""
    client, sizes = Client(relay, count, offer, window), deque(chops)
    client.offer_next()
    while not client.is_done:
        client.write()
        client.read(sizes.popleft() if sizes else None)
        client.hear()
    client.session.lost("the end of the test")
    client.hear()
    return client.outcomes
