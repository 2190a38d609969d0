"""The registry's tables (SQLAlchemy Core, one schema for SQLite and PostgreSQL)."""

from __future__ import annotations

import sqlalchemy as sa

from gensafe.core.types import RequestKey
from gensafe.core.types.usage import UNITS

meta = sa.MetaData()

records = sa.Table(
    "records",
    meta,
    sa.Column("record_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False, index=True),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, index=True),
    sa.Column("manifest_digest", sa.Text, nullable=False),
    sa.Column("manifest_label", sa.Text, nullable=False, index=True),
    sa.Column("watermark_scheme", sa.Text, nullable=False),
    sa.Column("watermark_payload", sa.LargeBinary, nullable=False),
    sa.Column("key_epoch", sa.SmallInteger, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("log_index", sa.BigInteger, nullable=False),
    sa.Column("leaf_hash", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("extra", sa.Text, nullable=False),
    sa.UniqueConstraint("tenant", "request_id", name="records_of_request"),
)

intents = sa.Table(
    "intents",
    meta,
    sa.Column("tenant", sa.Text, primary_key=True),  # an id means something within its tenant only
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("request_digest", sa.Text, nullable=False),
    sa.Column("record_id", sa.BigInteger, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("opened_index", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("final_index", sa.BigInteger, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

# --- what may be erased ---

subjects = sa.Table(
    "subjects",
    meta,
    sa.Column("subject", sa.Text, primary_key=True),  # pseudonym
    sa.Column("wrapped_key", sa.LargeBinary),  # NULL = destroyed
    sa.Column("erased_ms", sa.BigInteger),
)

end_users = sa.Table(
    "end_users",
    meta,
    sa.Column("subject", sa.Text, primary_key=True),  # pseudonym
    sa.Column("tenant", sa.Text, nullable=False, index=True),
)

prompts = sa.Table(
    "prompts",
    meta,
    sa.Column("record_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("subject", sa.Text, nullable=False, index=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

sealed_blobs = sa.Table(
    "sealed_blobs",
    meta,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False, index=True),
)

holds = sa.Table(
    "holds",
    meta,
    sa.Column("hold_id", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

reviews = sa.Table(
    "reviews",
    meta,
    sa.Column("review_id", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, nullable=False, index=True),
    sa.Column("record_id", sa.BigInteger, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("draft", sa.Text, nullable=False),  # digest of the sealed blob
    sa.Column("verdict", sa.Text, nullable=False),  # JSON
    sa.Column("retract_from", sa.BigInteger, nullable=False),
    sa.Column("held_index", sa.BigInteger, nullable=False),
    sa.Column("held_ms", sa.BigInteger, nullable=False),
    sa.Column("decision", sa.Text),  # NULL = waiting
    sa.Column("reviewer", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("decided_ms", sa.BigInteger),
    sa.Column("done", sa.Boolean, nullable=False),
)

orders = sa.Table(
    "orders",
    meta,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON; emptied when done
    sa.Column("placed_ms", sa.BigInteger, nullable=False),
    sa.Column("result", sa.Text),  # JSON; NULL = waiting
)

# --- who did what at the desk, in their own words; the log has pseudonyms and keyed digests ---

desk_acts = sa.Table(
    "desk_acts",
    meta,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("target", sa.Text, nullable=False, index=True),
    sa.Column("act", sa.Text, nullable=False),  # the event of its entry
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("log_index", sa.BigInteger, nullable=False),
)

# --- reports of misuse ---

cases = sa.Table(
    "cases",
    meta,
    sa.Column("ticket", sa.Text, primary_key=True),
    sa.Column("record_id", sa.BigInteger, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("found_by", sa.Text, nullable=False),
    sa.Column("reported_ms", sa.BigInteger, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False),
    sa.Column("reported_index", sa.BigInteger, nullable=False),
    sa.Column("decision", sa.Text),  # NULL = open
    sa.Column("decided_ms", sa.BigInteger),
    sa.Column("decided_index", sa.BigInteger),
    sa.Column("words_id", sa.BigInteger),  # the sealed words of the decision
)

# --- who used how much ---


def _counted() -> list[sa.Column[int]]:
    return [sa.Column(unit, sa.BigInteger, nullable=False) for unit in UNITS]


spending = sa.Table(
    "spending",
    meta,
    sa.Column("record_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("forecast", sa.Text, nullable=False),  # JSON
    *_counted(),
)

usage_totals = sa.Table(
    "usage_totals",
    meta,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, primary_key=True),  # "" = all of the tenant
    sa.Column("period", sa.Text, primary_key=True),  # minute | day
    sa.Column("start_ms", sa.BigInteger, primary_key=True),
    *_counted(),
)

# --- who may call ---

api_keys = sa.Table(
    "api_keys",
    meta,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("roles", sa.Text, nullable=False),  # JSON list
    sa.Column("models", sa.Text, nullable=False),  # JSON list; empty = all
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger),  # NULL = never
    sa.Column("revoked_ms", sa.BigInteger),
    sa.Column("used_day", sa.Integer),
    sa.Column("replaces", sa.Text, nullable=False),
    sa.Column("pending", sa.Boolean, nullable=False),
)

api_key_acts = sa.Table(
    "api_key_acts",
    meta,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key_id", sa.Text, nullable=False, index=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("change", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("log_index", sa.BigInteger),  # NULL = not logged yet
)

secrets_table = sa.Table(
    "secrets",
    meta,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)


def of_request(table: sa.Table, key: RequestKey) -> sa.ColumnElement[bool]:
    """The rows of ``table`` that belong to one request."""
    return sa.and_(table.c.tenant == key.tenant, table.c.request_id == key.request_id)
