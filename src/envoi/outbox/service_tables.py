"""This room says which tables the processes share beside the mail and the directory."""

from sqlalchemy import Column, Index, SmallInteger, String, Table, text

from envoi.outbox.columns import count, flag, key, large_count, metadata, moment_ms, number, words

meta = Table(
    "envoi_meta",
    metadata,
    Column("name", String(100), primary_key=True),
    words("value"),
)

switch = Table(
    "envoi_switch", metadata,
    key("name", 200), words("value"), moment_ms("changed_at_ms"), words("changed_by"),
)  # fmt: skip

relay = Table(
    "envoi_relay", metadata,
    key("name"), moment_ms("paused_until_ms"), words("because"), words("advice"),
    moment_ms("down_since_ms"), count("attempts"), flag("needs_operator"),
)  # fmt: skip

# The refresh token that a relay's service gave in exchange for the one of the settings (`seed`).
token = Table(
    "envoi_token", metadata,
    key("relay"), words("seed"), words("refresh_token"), moment_ms("changed_at_ms"),
)  # fmt: skip

worker = Table(
    "envoi_worker", metadata,
    key("id"), words("host"), count("pid"), moment_ms("started_at_ms"), moment_ms("seen_at_ms"),
    words("transport"),
)  # fmt: skip

# Who used, or tried to use, what only an administrator may.
audit = Table(
    "envoi_audit", metadata,
    number(), moment_ms("at_ms"), words("made_by"), words("login"), words("action"),
    words("target"), words("outcome"),
)  # fmt: skip

# How much mail of a sender a person had in the window that runs, and how much was held back.
limit = Table(
    "envoi_limit", metadata,
    key("application"), key("sender", 128), key("address", 320),
    moment_ms("ends_at_ms"), count("told"), count("held_back"), moment_ms("held_since_ms"),
)  # fmt: skip
Index("envoi_limit_ends", limit.c.ends_at_ms)

# Servers by name, up or down, and the processes that make them up.
server = Table(
    "envoi_server", metadata,
    key("application"), key("name"), flag("is_up"), moment_ms("left_at_ms"), moment_ms("due_at_ms"),
    moment_ms("seen_at_ms"),
)  # fmt: skip
instance = Table(
    "envoi_instance", metadata,
    key("id"), Column("application", String(100), nullable=False),
    Column("server", String(100), nullable=False), words("host"), count("pid"),
    moment_ms("seen_at_ms"),
)  # fmt: skip

# Errors that share a fingerprint.
incident = Table(
    "envoi_incident", metadata,
    key("application"), key("fingerprint", 64), words("error_type"), words("message"),
    words("place"), words("release"), Column("standing", String(20), nullable=False),
    large_count("count"), moment_ms("first_at_ms"), moment_ms("last_at_ms"),
    moment_ms("window_ends_at_ms"), large_count("window_count"), large_count("held_back"),
    words("releases"), words("mended_in"), moment_ms("muted_until_ms"),
    large_count("muted_until_count"), large_count("window_told"), moment_ms("digest_since_ms"),
)  # fmt: skip
Index("envoi_incident_windows", incident.c.window_ends_at_ms)
Index("envoi_incident_last", incident.c.last_at_ms)
Index(
    "envoi_incident_digests", incident.c.application, incident.c.digest_since_ms,
    sqlite_where=text("digest_since_ms > 0"), postgresql_where=text("digest_since_ms > 0"),
)  # fmt: skip

# Links that lead nowhere, and until when what is found is gathered for the next digest.
broken_link = Table(
    "envoi_broken_link", metadata,
    key("application"), key("fingerprint", 64), words("host"), flag("is_internal"),
    words("referrer"), words("url"), words("user_agent"), words("client"),
    large_count("count"), large_count("untold"), moment_ms("first_at_ms"), moment_ms("last_at_ms"),
)  # fmt: skip
Index("envoi_broken_link_last", broken_link.c.last_at_ms)
link_digest = Table(
    "envoi_link_digest", metadata,
    key("application"),
    Column("is_internal", SmallInteger, primary_key=True, autoincrement=False),
    moment_ms("ends_at_ms"), large_count("unlisted"),
)  # fmt: skip
Index("envoi_link_digest_ends", link_digest.c.ends_at_ms)

# What comes round by itself: when next, who has it now, and how far it got.
chore = Table(
    "envoi_chore", metadata,
    key("name"), moment_ms("due_at_ms"), moment_ms("lease_until_ms"), count("claims"),
    words("cursor"),
)  # fmt: skip

# How far a relay's mail, all of it (no domain) or that to one domain, has used up its rate, and
# the last turn that was promised to what waits for it.
rate = Table(
    "envoi_rate", metadata,
    key("relay"), key("domain", 255), large_count("spent_until_us"), moment_ms("line_until_ms"),
)  # fmt: skip
