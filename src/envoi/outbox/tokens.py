"""This room keeps refresh tokens that were exchanged, for the workers of all machines.

Beside each stands the digest of the one that the settings name: another one there begins anew.
They lie here in clear, as the words of password resets do until they are sent: whoever reads this
database, or a backup of it, can send as the mailbox until the token is taken back.
"""

from envoi.seams import Tx


def kept(tx: Tx, relay: str, seed: str) -> str:
    """Return what was given in exchange; empty: nothing, or for another token of the settings.

    Args:
        tx: Open transaction.
        relay: Name of the relay.
        seed: Digest of the token that the settings name.
    """
    rows = tx.execute(
        "SELECT refresh_token FROM envoi_token WHERE relay = :relay AND seed = :seed",
        {"relay": relay, "seed": seed},
    )
    return str(rows[0][0]) if rows else ""


def keep(tx: Tx, relay: str, seed: str, refresh_token: str, now_ms: int) -> None:
    """Keep what was given in exchange, in place of what was kept before."""
    tx.execute(
        """INSERT INTO envoi_token (relay, seed, refresh_token, changed_at_ms)
        VALUES (:relay, :seed, :refresh_token, :now_ms)
        ON CONFLICT (relay) DO UPDATE SET seed = excluded.seed,
            refresh_token = excluded.refresh_token, changed_at_ms = excluded.changed_at_ms""",
        {"relay": relay, "seed": seed, "refresh_token": refresh_token, "now_ms": now_ms},
    )
