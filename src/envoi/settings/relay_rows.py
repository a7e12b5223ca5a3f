"""This room tells of the keys by which a relay stands beside others, or is entered by a token."""

from envoi.settings import places, readers
from envoi.settings.readers import texts
from envoi.settings.row import Row

PROVIDERS = ("microsoft", "google")

ROWS: tuple[Row, ...] = (
    Row(
        "application.relay",
        texts(readers.relay_name, "a relay's name"),
        "The relay that its mail leaves by unless a sender names another: `default` is that of "
        "`[smtp]`, any other name that of `[relays.NAME]`.",
    ),
    Row(
        "application.broadcast_relay",
        texts(readers.relay_name, "a relay's name"),
        "The relay that its broadcasts leave by, so that mail to many does not use up what the "
        "relay of its notices allows.",
        otherwise="that of its other mail",
    ),
    Row(
        "smtp.failover",
        readers.lists(texts(readers.relay_name, "a relay's name"), "a list of relays' names"),
        "Relays that mail goes by instead while this one is paused, in order: the first that "
        "is not paused itself. Mail waits where all are. One that may not send for your From "
        "refuses such mail, which then waits for this relay.",
    ),
    Row(
        "smtp.oauth_provider",
        readers.one_of(PROVIDERS, {"office365": "Microsoft 365 is microsoft"}),
        "Whose tokens to sign in with, for `oauth_token_url` and `oauth_scope` as they are there. "
        "Without it both are as you set them.",
    ),
    Row(
        "smtp.oauth_tenant",
        texts(readers.word, "a tenant's id or domain"),
        "Your organisation at Microsoft. With a wrong one no token is given out.",
    ),
    Row(
        "smtp.oauth_token_url",
        texts(places.token_url, "an https URL without credentials or fragment"),
        "Where tokens are given out. Without it nobody signs in by token; in clear (http) only "
        "on this machine.",
        otherwise="the provider's",
    ),
    Row(
        "smtp.oauth_client_id",
        texts(readers.checked_text, "a text on one line"),
        "Id of Envoi at the one who gives out tokens, as registered there.",
    ),
    Row(
        "smtp.oauth_client_secret",
        readers.secrets(),
        "Its secret. Without a refresh token it alone gets tokens (client credentials).",
        is_secret=True,
    ),
    Row(
        "smtp.oauth_refresh_token",
        readers.secrets(),
        "What tokens are given out for, once the mailbox's owner has agreed. One that the "
        "service exchanges for another is kept in the outbox's database; setting another here "
        "starts anew. With one that was taken back the relay is paused and mail waits.",
        is_secret=True,
    ),
    Row(
        "smtp.oauth_scope",
        texts(readers.checked_text, "scopes with spaces between them"),
        "What the token is for. A wrong one gives a token that the relay refuses.",
        otherwise="the provider's",
    ),
)
