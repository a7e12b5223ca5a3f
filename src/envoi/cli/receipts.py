"""This room shows receipts: what became of something that was handed over."""

from envoi.cli.screen import Screen
from envoi.cli.typed import counted
from envoi.mailer import Receipt, Stored


def receipt_form(receipt: Receipt) -> dict[str, object]:
    """Return a receipt as JSON shows it."""
    return {
        "stored": receipt.stored.value,
        "event": receipt.event_id or None,
        "deliveries": receipt.deliveries,
        "skipped": receipt.skipped,
        "because": receipt.because or None,
    }


def tell_receipt(screen: Screen, receipt: Receipt, kind: str) -> None:
    """Print a receipt."""
    event = f"event {receipt.event_id} ({kind})"
    match receipt.stored:
        case Stored.REPEATED:
            screen.line(f"{event} was stored before under this key; nothing was added")
        case Stored.ROUTING:
            because = f": {receipt.because}" if receipt.because else ""
            screen.line(f"{event} stored; a worker finds its recipients{because}")
            screen.note(f"Who and why: envoi explain {receipt.event_id}")
        case Stored.STORED:
            deliveries = counted(receipt.deliveries, "delivery", "deliveries")
            because = f": {receipt.because}" if receipt.because else ""
            screen.line(f"{event} stored: {deliveries}, {receipt.skipped} skipped{because}")
            screen.note(f"Who and why: envoi explain {receipt.event_id}")
        case _:
            screen.line(f"{kind}: {receipt.stored}: {receipt.because}")
