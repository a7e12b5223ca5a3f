"""This room holds the hot statements: plain SQL, once for both engines.

Many rows travel as one JSON text, so that a batch is one round trip with every driver and every
engine, and `RETURNING` tells which rows were really changed. `Sql` is the only place that knows
the engines apart: how JSON becomes rows, how a claim steps over rows that another worker holds,
and whose clock a lease is read by. PostgreSQL's own clock, because workers on several machines
must agree; on SQLite all processes share one machine and the caller's clock.

Fence: every statement that ends a claim names `state = 'sending' AND claims = ` the claim's
number. `claims` only grows, so a worker that lost its lease changes nothing.
"""

# ruff: noqa: S608 # every part of these texts stands in this file; values are parameters

from functools import cached_property, lru_cache

from envoi.core.delivery import FINAL_STATES

# Due time of deliveries whose audience is not complete yet (year 9999).
FAR_FUTURE_MS = 253_402_300_799_000

DELIVERY_COLUMNS = """id, message_id, event_id, ordinal, address, name, person, sender, because,
    class, transport, state, due_at_ms, created_at_ms, expires_at_ms, claims, refusals"""

MESSAGE_COLUMNS = """id, uid, event_id, application, kind, class, locale, time_zone, from_name,
    from_address, reply_to, subject, text, html, headers, thread, blocks, to_json, cc_json, host,
    date_ms, expires_at_ms, sealed"""

PUT_EVENT = """
    INSERT INTO envoi_event (uid, application, kind, actor, subject, key, facts, people,
        occurred_at_ms, stored_at_ms, state, due_at_ms)
    VALUES (:uid, :application, :kind, :actor, :subject, :key, :facts, :people,
        :occurred_at_ms, :stored_at_ms, :state, :due_at_ms)
    ON CONFLICT DO NOTHING
    RETURNING id"""

FIND_EVENT = """
    SELECT id, uid FROM envoi_event
    WHERE uid = :uid OR (application = :application AND key = :key)"""

PUT_SEALED = """
    INSERT INTO envoi_sealed (message_id, event_id, content)
    VALUES (:message_id, :event_id, :content)"""

PUT_MESSAGE = """
    INSERT INTO envoi_message (uid, event_id, application, kind, class, locale, time_zone,
        from_name, from_address, reply_to, subject, text, html, headers, thread, blocks, to_json,
        cc_json, host, date_ms, expires_at_ms, sealed)
    VALUES (:uid, :event_id, :application, :kind, :class, :locale, :time_zone, :from_name,
        :from_address, :reply_to, :subject, :text, :html, :headers, :thread, :blocks, :to_json,
        :cc_json, :host, :date_ms, :expires_at_ms, :sealed)
    RETURNING id"""

# As `Sql.put_deliveries` stores several: most events mail one person, and a row needs no JSON.
PUT_DELIVERY = """
    INSERT INTO envoi_delivery (message_id, event_id, application, ordinal, sender, person, name,
        address, because, class, transport, state, due_at_ms, created_at_ms, expires_at_ms)
    VALUES (:message_id, :event_id, :application, :ordinal, :sender, :person, :name,
        :address, :because, :class, :transport, :state, :due_at_ms, :created_at_ms, :expires_at_ms)
    ON CONFLICT (event_id, address) DO NOTHING"""

PUT_ATTACHMENT = """
    INSERT INTO envoi_attachment (message_id, position, name, media_type, content)
    VALUES (:message_id, :position, :name, :media_type, :content)"""

KEEP_CURSOR = """
    UPDATE envoi_event SET cursor = :cursor
    WHERE id = :id AND state = 'to_route' AND claims = :claims
    RETURNING id"""

POSTPONE_EVENT = """
    UPDATE envoi_event SET due_at_ms = :due_at_ms, problem = :problem, lease_until_ms = 0
    WHERE id = :id AND state = 'to_route' AND claims = :claims
    RETURNING id"""

SEALED_FACTS = "SELECT content FROM envoi_sealed WHERE event_id = :event_id"

# The next bound of a walk through an event's deliveries along their unique index.
NEXT_ADDRESS = """
    SELECT address FROM envoi_delivery WHERE event_id = :event_id AND address > :after
    ORDER BY address LIMIT 1 OFFSET :offset"""

MAKE_DUE = """
    UPDATE envoi_delivery SET due_at_ms = :now_ms
    WHERE event_id = :event_id AND address > :after AND due_at_ms = :far_future_ms"""

MAKE_DUE_UP_TO = MAKE_DUE + " AND address <= :last"

EVENT_ROUTED = """
    UPDATE envoi_event SET state = 'routed', lease_until_ms = 0, problem = ''
    WHERE id = :id AND state = 'to_route' AND claims = :claims
    RETURNING id"""

DROP_SEALED_FACTS = "DELETE FROM envoi_sealed WHERE event_id = :event_id"

# The fence. The cast keeps SQLite from reading every row in state `sending` once per row of the
# batch, by an index on the state: 42 µs a row instead of 5, by the row's own key.
HELD = (
    "envoi_delivery.id = r.row_id AND CAST(envoi_delivery.state AS VARCHAR) = 'sending' "
    "AND envoi_delivery.claims = r.row_claims"
)
FINAL = ", ".join(sorted(f"'{state.value}'" for state in FINAL_STATES))


# Any number that another program's advisory locks hardly begin with ("Envl").
_LIMIT_LOCK = 0x456E766C


class Sql:
    """The statements that differ between the engines; each property is one, with its guarantee.

    Args:
        dialect: `sqlite` or `postgresql`.
    """

    def __init__(self, dialect: str) -> None:
        """Know the engine; texts are built when first asked for."""
        self._is_postgresql = dialect == "postgresql"
        clock = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
        self.clock = clock if self._is_postgresql else "CAST(:now_ms AS BIGINT)"
        self.lock = "FOR UPDATE" if self._is_postgresql else ""
        self.share = "FOR SHARE" if self._is_postgresql else ""
        self._skip_locked = "FOR UPDATE SKIP LOCKED" if self._is_postgresql else ""

    @cached_property
    def put_deliveries(self) -> str:
        """Store deliveries; an address that the event mails already is passed over."""
        rows = self.rows(
            "ordinal BIGINT", "sender TEXT", "person TEXT", "name TEXT", "address TEXT",
            "because TEXT", "rank BIGINT", "transport TEXT", "state TEXT", "due_at_ms BIGINT",
            "created_at_ms BIGINT", "expires_at_ms BIGINT",
        )  # fmt: skip
        return f"""
            INSERT INTO envoi_delivery (message_id, event_id, application, ordinal, sender,
                person, name, address, because, class, transport, state, due_at_ms,
                created_at_ms, expires_at_ms)
            SELECT CAST(:message_id AS BIGINT), CAST(:event_id AS BIGINT),
                CAST(:application AS VARCHAR), ordinal, sender, person, name, address, because,
                rank, transport, state, due_at_ms, created_at_ms, expires_at_ms
            FROM {rows} AS r WHERE 1 = 1 ORDER BY position
            ON CONFLICT (event_id, address) DO NOTHING"""

    @cached_property
    def put_decisions(self) -> str:
        """Store who was skipped and why."""
        rows = self.rows("sender TEXT", "person TEXT", "name TEXT", "because TEXT")
        return f"""
            INSERT INTO envoi_decision (event_id, sender, person, name, because)
            SELECT CAST(:event_id AS BIGINT), sender, person, name, because
            FROM {rows} AS r ORDER BY position"""

    @cached_property
    def told(self) -> str:
        """Find which of some addresses an event mails."""
        return f"""
            SELECT address, name FROM envoi_delivery
            WHERE event_id = :event_id
                AND address IN (SELECT word FROM {self.rows("word TEXT")} AS r)"""

    @cached_property
    def claim_event(self) -> str:
        """Lease the event that waits longest for its routing."""
        oldest = self.picked(f"""
            SELECT id FROM envoi_event
            WHERE state = 'to_route' AND due_at_ms <= :now_ms AND lease_until_ms <= {self.clock}
            ORDER BY due_at_ms, id LIMIT 1""")
        return f"""
            UPDATE envoi_event SET claims = claims + 1,
                lease_until_ms = {self.clock} + CAST(:lease_ms AS BIGINT)
            WHERE {oldest}
            RETURNING id, application, kind, actor, subject, key, facts, people,
                occurred_at_ms, stored_at_ms, cursor, claims"""

    @cached_property
    def extend_event(self) -> str:
        """Extend an event's lease, if it still holds."""
        return f"""
            UPDATE envoi_event SET lease_until_ms = {self.clock} + CAST(:lease_ms AS BIGINT)
            WHERE id = :id AND state = 'to_route' AND claims = :claims
            RETURNING id"""

    @cached_property
    def claim(self) -> str:
        """Lease what is due of one class, by due time; nobody else gets the same rows."""
        return self._claim("")

    @cached_property
    def claim_broadcast(self) -> str:
        """Lease what is due of the class of broadcasts, but of one that is halted."""
        return self._claim(
            "AND event_id NOT IN (SELECT event_id FROM envoi_broadcast WHERE is_halted = 1)"
        )

    def _claim(self, unless: str) -> str:
        due = self.picked(f"""
            SELECT id FROM envoi_delivery
            WHERE transport = :transport AND class = :class
                AND state IN ('queued', 'uncertain') AND due_at_ms <= :now_ms
                AND (expires_at_ms = 0 OR expires_at_ms > :now_ms) {unless}
            ORDER BY due_at_ms, id LIMIT :limit""")
        return f"""
            UPDATE envoi_delivery SET state = 'sending', claims = claims + 1, begun = 0,
                worker = :worker, relay = :relay,
                lease_until_ms = {self.clock} + CAST(:lease_ms AS BIGINT)
            WHERE {due}
            RETURNING {DELIVERY_COLUMNS}"""

    @cached_property
    def lost(self) -> str:
        """Find the deliveries whose lease has run out."""
        return f"""
            SELECT {DELIVERY_COLUMNS}, relay, begun, worker FROM envoi_delivery
            WHERE state = 'sending' AND lease_until_ms <= {self.clock}
            ORDER BY lease_until_ms, id LIMIT :limit {self._skip_locked}"""

    @cached_property
    def count_lost(self) -> str:
        """Count how often deliveries were lost before they were begun."""
        return f"""
            SELECT delivery_id, COUNT(*) FROM envoi_attempt
            WHERE outcome = 'lost' AND delivery_id IN ({self.ids()}) GROUP BY delivery_id"""

    @cached_property
    def begin(self) -> str:
        """Mark claims whose content may leave, if they still hold."""
        return f"""
            UPDATE envoi_delivery SET begun = 1 FROM {self._claims()} AS r WHERE {HELD}
            RETURNING envoi_delivery.id"""

    @cached_property
    def extend(self) -> str:
        """Extend the leases of claims that still hold."""
        return f"""
            UPDATE envoi_delivery
            SET lease_until_ms = {self.clock} + CAST(:lease_ms AS BIGINT)
            FROM {self._claims()} AS r WHERE {HELD}
            RETURNING envoi_delivery.id"""

    @cached_property
    def settle(self) -> str:
        """Write verdicts down for claims that still hold; tell whose message has secrets."""
        rows = self.rows(
            "row_id BIGINT", "row_claims BIGINT", "row_state TEXT", "row_due BIGINT",
            "row_refused BIGINT", "row_reply TEXT",
        )  # fmt: skip
        return f"""
            UPDATE envoi_delivery SET state = r.row_state, lease_until_ms = 0, begun = 0,
                worker = '', settled_at_ms = :now_ms, last_reply = r.row_reply,
                due_at_ms = CASE WHEN r.row_due > 0 THEN r.row_due
                    ELSE envoi_delivery.due_at_ms END,
                refusals = envoi_delivery.refusals + r.row_refused
            FROM {rows} AS r WHERE {HELD}
            RETURNING envoi_delivery.id, (SELECT m.sealed FROM envoi_message m
                WHERE m.id = envoi_delivery.message_id)"""

    @cached_property
    def put_attempts(self) -> str:
        """Store what was tried."""
        rows = self.rows(
            "delivery_id BIGINT", "claims BIGINT", "started_at_ms BIGINT", "ended_at_ms BIGINT",
            "stage TEXT", "outcome TEXT", "reply TEXT", "sent_to TEXT", "relay TEXT",
        )  # fmt: skip
        return f"""
            INSERT INTO envoi_attempt (delivery_id, claims, started_at_ms, ended_at_ms, stage,
                outcome, reply, sent_to, relay)
            SELECT delivery_id, claims, started_at_ms, ended_at_ms, stage, outcome, reply, sent_to,
                relay
            FROM {rows} AS r ORDER BY position"""

    @cached_property
    def expire(self) -> str:
        """Expire what is worthless now."""
        # Left to itself SQLite goes by state, through everything that is queued.
        by_expiry = "" if self._is_postgresql else "INDEXED BY envoi_delivery_expiring"
        late = self.picked(f"""
            SELECT id FROM envoi_delivery {by_expiry}
            WHERE expires_at_ms > 0 AND state IN ('queued', 'uncertain', 'held')
                AND expires_at_ms <= :now_ms
            ORDER BY expires_at_ms LIMIT :limit""")
        return f"""
            UPDATE envoi_delivery SET state = 'expired', settled_at_ms = :now_ms
            WHERE {late}
            RETURNING message_id"""

    @cached_property
    def messages(self) -> str:
        """Read messages, their words masked."""
        return f"SELECT {MESSAGE_COLUMNS} FROM envoi_message WHERE id IN ({self.ids()})"

    @cached_property
    def attachments(self) -> str:
        """Read messages' files in order."""
        return f"""
            SELECT message_id, name, media_type, content FROM envoi_attachment
            WHERE message_id IN ({self.ids()}) ORDER BY message_id, position"""

    @cached_property
    def sealed_words(self) -> str:
        """Read messages' real words."""
        return f"SELECT message_id, content FROM envoi_sealed WHERE message_id IN ({self.ids()})"

    @cached_property
    def lock_sealed(self) -> str:
        """Find messages with real words, one worker at a time.

        Two workers that settle the last two deliveries of one message must not both leave its
        secrets to the other: the second waits here, and then sees what the first has written.
        """
        return f"""
            SELECT m.id FROM envoi_message m
            WHERE m.sealed = 1 AND m.id IN ({self.ids()}) ORDER BY m.id {self.lock}"""

    @cached_property
    def unsealed(self) -> str:
        """Find messages with real words that no delivery can need any more."""
        return f"""
            SELECT m.id FROM envoi_message m
            WHERE m.sealed = 1 AND m.id IN ({self.ids()}) AND NOT EXISTS (
                SELECT 1 FROM envoi_delivery d WHERE d.message_id = m.id
                    AND d.state NOT IN ({FINAL}))"""

    @cached_property
    def drop_sealed_words(self) -> str:
        """Delete messages' real words."""
        return f"DELETE FROM envoi_sealed WHERE message_id IN ({self.ids()})"

    @cached_property
    def mark_unsealed(self) -> str:
        """Note that messages' real words are gone."""
        return f"UPDATE envoi_message SET sealed = 2 WHERE id IN ({self.ids()})"

    @cached_property
    def try_lock(self) -> str:
        """Lock a name until the transaction ends, or say at once that it cannot be.

        On SQLite whoever writes is alone anyway. A snapshot that is older than the lock would
        hide what its last holder wrote.
        """
        if not self._is_postgresql:
            return "SELECT 1 WHERE :name <> ''"
        return f"""
            SELECT 1 WHERE current_setting('transaction_isolation') = 'read committed'
                AND pg_try_advisory_xact_lock({_LIMIT_LOCK}, hashtext(CAST(:name AS VARCHAR)))"""

    def picked(self, select: str) -> str:
        """Return the condition `id is among these`, stepping over rows that others hold.

        PostgreSQL may run a sub-select of IN more than once and then takes more than the limit;
        an ARRAY is computed once.
        """
        if self._is_postgresql:
            return f"id = ANY(ARRAY({select} {self._skip_locked}))"
        return f"id IN ({select})"

    def rows(self, *columns: str) -> str:
        """Return a sub-select that reads `:rows`, a JSON list of lists, as these columns.

        Args:
            columns: Name and type, e.g. `id BIGINT`; a column `position` counts the rows.
        """
        named = [column.split() for column in columns]
        if self._is_postgresql:
            casts = [f"CAST(e.value ->> {i} AS {column[1]})" for i, column in enumerate(named)]
            parts = [f"{cast} AS {column[0]}" for cast, column in zip(casts, named, strict=True)]
            source = (
                "json_array_elements(CAST(:rows AS json)) WITH ORDINALITY AS e(value, position)"
            )
            return f"(SELECT e.position, {', '.join(parts)} FROM {source})"
        parts = [f"json_extract(e.value, '$[{i}]') AS {name}" for i, (name, _) in enumerate(named)]
        return f"(SELECT e.key AS position, {', '.join(parts)} FROM json_each(:rows) AS e)"

    def ids(self) -> str:
        """Return the sub-select of the row ids in `:rows`."""
        return f"SELECT row_id FROM {self.rows('row_id BIGINT')} AS r"

    def _claims(self) -> str:
        return self.rows("row_id BIGINT", "row_claims BIGINT")


@lru_cache(maxsize=2)
def sql(dialect: str) -> Sql:
    """Return the statements of an engine."""
    return Sql(dialect)
