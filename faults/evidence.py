"""This room reads the relay's ledger: what it has, what it said about it, and when."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True, kw_only=True)
class Copy:
    """A mail on the relay's disk.

    Args:
        recipient: Envelope recipient.
        kept_at_s: When it was put there, monotonic seconds.
        message_id: Its Message-ID header.
        digest: Of all its bytes.
        connection: Number of the connection it came over.
        connected_at_s: When that one was opened.
        is_tls: Whether it came encrypted.
        username: Who had signed in.
        code: What the relay answered the content; 0: nothing yet, or nothing ever.
        answered_at_s: When.
    """

    recipient: str
    kept_at_s: float
    message_id: str
    digest: str
    connection: int
    connected_at_s: float
    is_tls: bool
    username: str
    code: int = 0
    answered_at_s: float = 0.0

    @property
    def is_acknowledged(self) -> bool:
        """Whether the relay said that it has it."""
        return 200 <= self.code < 300  # noqa: PLR2004 # SMTP's own number


@dataclass(frozen=True, slots=True)
class Said:
    """A relay's answer about one recipient's mail; `stage` as in `envoi.testing`."""

    at_s: float
    stage: str
    code: int

    @property
    def is_final(self) -> bool:
        """Whether it refuses for good."""
        return 500 <= self.code < 600  # noqa: PLR2004 # SMTP's own number


@dataclass(slots=True)
class Evidence:
    """A ledger file, read as far as it goes.

    Args:
        path: The file.

    Attributes:
        copies: Mails by recipient, in order of arrival.
        said: Answers by recipient.
        offered: Moments at which a recipient was offered.
        lied: Recipients whose mail was acknowledged and thrown away.
        violations: What the client did against the protocol.
        sign_ins: Moments of AUTH attempts.
        connected: Moments at which connections were opened.
        open: How many are open.
        most_open: Most at once.
        kept: How many mails there are.
    """

    path: Path
    copies: dict[str, list[Copy]] = field(default_factory=lambda: defaultdict(list[Copy]))
    said: dict[str, list[Said]] = field(default_factory=lambda: defaultdict(list[Said]))
    offered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list[float]))
    lied: list[str] = field(default_factory=list[str])
    violations: list[str] = field(default_factory=list[str])
    sign_ins: list[float] = field(default_factory=list[float])
    connected: list[float] = field(default_factory=list[float])
    open: int = 0
    most_open: int = 0
    kept: int = 0
    _offset: int = 0
    _connected_at_s: dict[int, float] = field(default_factory=dict[int, float])

    def read(self) -> "Evidence":
        """Take in what was written since the last time."""
        if not self.path.exists():
            return self
        with self.path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))
        return self

    def _take(self, line: dict[str, Any]) -> None:
        at_s = line["at_s"]
        match line["what"]:
            case "kept":
                self._take_copy(line)
            case "answer":
                self._take_answer(line)
            case "offer":
                self.offered[line["recipient"]].append(at_s)
            case "connected":
                self.connected.append(at_s)
                self._connected_at_s[line["connection"]] = at_s
                self._count_open(line["open"])
            case "left":
                self._count_open(line["open"])
            case "sign-in":
                self.sign_ins.append(at_s)
            case "violation":
                self.violations.append(line["words"])
            case _:
                self.lied.append(line["recipient"])

    def _take_copy(self, line: dict[str, Any]) -> None:
        self.kept += 1
        copy = Copy(
            recipient=line["recipient"],
            kept_at_s=line["at_s"],
            message_id=line["message_id"],
            digest=line["digest"],
            connection=line["connection"],
            connected_at_s=self._connected_at_s[line["connection"]],
            is_tls=line["is_tls"],
            username=line["username"],
        )
        self.copies[copy.recipient].append(copy)

    def _take_answer(self, line: dict[str, Any]) -> None:
        recipient, code = line["recipient"], line["code"]
        self.said[recipient].append(Said(line["at_s"], line["stage"], code))
        copies = self.copies.get(recipient)
        if line["stage"] == "content" and copies and not copies[-1].code:
            copies[-1].code, copies[-1].answered_at_s = code, line["at_s"]

    def _count_open(self, count: int) -> None:
        self.open = count
        self.most_open = max(self.most_open, count)

    @property
    def refused(self) -> set[str]:
        """Recipients whose mail the relay refused for good at least once."""
        return {address for address, said in self.said.items() if any(s.is_final for s in said)}

    def shortest_wait_s(self, addresses: Iterable[str]) -> float:
        """Return the shortest time between a refusal of these and their next offer; -1: none."""
        waits = [wait for address in addresses for wait in self._waits(address)]
        return min(waits, default=-1.0)

    def _waits(self, address: str) -> Sequence[float]:
        offered = self.offered.get(address, [])
        refused = [one.at_s for one in self.said.get(address, []) if one.code >= 400]  # noqa: PLR2004 # SMTP's
        later = [[moment for moment in offered if moment > said_at_s] for said_at_s in refused]
        return [
            min(moments) - said_at_s
            for said_at_s, moments in zip(refused, later, strict=True)
            if moments
        ]
