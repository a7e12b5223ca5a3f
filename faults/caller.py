"""This room is the application that hands mail in while its outbox is in trouble."""

from dataclasses import dataclass, field

from envoi import Receipt, Stored
from envoi.errors import OutboxError
from faults.row import Tally
from faults.site import Site


@dataclass(slots=True)
class Caller:
    """Hands in one mail after another, and remembers what it was told.

    Args:
        site: Where.

    Attributes:
        refused: What strict calls raised.
        receipts: What was answered otherwise.
    """

    site: Site
    refused: list[OutboxError] = field(default_factory=list[OutboxError])
    receipts: list[Receipt] = field(default_factory=list[Receipt])

    def hand_in(self, count: int, prefix: str, *, strict: bool) -> None:
        """Hand in so many, to a person each; what is accepted counts.

        Args:
            count: How many.
            prefix: Of the addresses; each name once per site.
            strict: Whether what cannot be stored is to raise instead of going into the spool.
        """
        for number in range(count):
            self._hand_in(f"{prefix}{number}@x.test", strict=strict)

    def _hand_in(self, address: str, *, strict: bool) -> None:
        try:
            receipt = self.site.mailer.send(self.site.mail([address]), strict=strict)
        except OutboxError as err:
            self.refused.append(err)
            return
        self.receipts.append(receipt)
        if receipt.is_kept:
            self.site.accepted.append(address)

    @property
    def spooled(self) -> int:
        """How many lie in the spool, or did."""
        return sum(receipt.stored is Stored.SPOOLED for receipt in self.receipts)

    def check_refusals(self, found: Tally, word: str) -> None:
        """Expect that something was refused, and that each refusal says why."""
        found.expect(self.refused, "some strict calls to be refused")
        unclear = [str(err) for err in self.refused if word not in str(err)]
        found.expect(not unclear, f"refusals that say {word!r}, got {unclear[:2]}")
        lost = [receipt for receipt in self.receipts if not receipt.is_kept]
        found.expect(not lost, f"calls that are not strict to be spooled, got {lost[:2]}")
