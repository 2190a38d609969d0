"""The registry's tables and its engine: SQLite in the folder, or PostgreSQL by URL (SQLAlchemy Core for both)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from gensafe.core.errors import RegistryError
from gensafe.core.types import RequestKey

DATABASE = "registry.db"

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

secrets_table = sa.Table(
    "secrets",
    meta,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)


def of_request(table: sa.Table, key: RequestKey) -> sa.ColumnElement[bool]:
    """The rows of ``table`` that belong to one request."""
    return sa.and_(table.c.tenant == key.tenant, table.c.request_id == key.request_id)


def open_engine(directory: Path, *, url: str, readonly: bool) -> sa.Engine:
    """Open (and unless ``readonly`` create) the registry's database.

    Raises:
        RegistryError: it cannot be opened, or there is none to read.
    """
    if url:
        try:
            engine = sa.create_engine(url, pool_pre_ping=True)
        except (ImportError, SQLAlchemyError) as error:
            raise RegistryError(
                f"no driver for {url.partition(':')[0]}", fix="pip install 'gensafe[postgres]'"
            ) from error
    else:
        engine = _sqlite(directory, readonly=readonly)
    if not readonly:
        try:
            bring_forward(engine)
            meta.create_all(engine)
        except SQLAlchemyError as error:
            engine.dispose()
            raise RegistryError(f"could not open the registry: {getattr(error, 'orig', error)}") from error
    return engine


def _sqlite(directory: Path, *, readonly: bool) -> sa.Engine:
    path = directory / DATABASE
    if readonly and not path.is_file():
        raise RegistryError(f"there is no registry in {directory.name!r}")
    if not readonly:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(f"could not make the registry's folder: {error.strerror}") from error
    mode = "ro" if readonly else "rwc"
    engine = sa.create_engine(
        f"sqlite:///file:{path.resolve().as_posix()}?mode={mode}&uri=true", poolclass=QueuePool, pool_size=4
    )

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout=5000")
        if not readonly:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA fullfsync=1")
            connection.execute("PRAGMA secure_delete=ON")  # erased prompts and keys leave no page behind

    return engine


@contextmanager
def stored(doing: str) -> Iterator[None]:
    """Turn database errors into ``RegistryError``; integrity errors pass, their callers know what they mean."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise RegistryError(f"could not {doing}: {getattr(error, 'orig', None) or error}") from error


def bring_forward(engine: sa.Engine) -> None:
    """Give a database made before request ids were per tenant its new keys; does nothing on others.

    SQLite cannot change a key in place, so its two tables are copied, in one transaction: a crash leaves the old ones.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                "BEGIN IMMEDIATE"
            )  # two processes that open it at once: the second finds it done
        for table in (intents, records):
            if _keyed_by_id_alone(connection, table):
                (_copy_table if engine.dialect.name == "sqlite" else _exchange_keys)(connection, table)
        connection.commit()


def _keyed_by_id_alone(connection: sa.Connection, table: sa.Table) -> bool:
    found = sa.inspect(connection)
    if not found.has_table(table.name):
        return False
    keys = [found.get_pk_constraint(table.name), *found.get_unique_constraints(table.name)]
    return any((key.get("constrained_columns") or key.get("column_names")) == ["request_id"] for key in keys)


def _copy_table(connection: sa.Connection, table: sa.Table) -> None:
    old = f"{table.name}_by_id"
    columns = ", ".join(column.name for column in table.columns)
    for index in table.indexes:
        connection.execute(sa.schema.DropIndex(index, if_exists=True))
    connection.exec_driver_sql(f"ALTER TABLE {table.name} RENAME TO {old}")
    table.create(connection)
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {old}")  # noqa: S608 - names of ours
    connection.exec_driver_sql(f"DROP TABLE {old}")


def _exchange_keys(connection: sa.Connection, table: sa.Table) -> None:
    name = "intents_pkey" if table is intents else "records_request_id_key"  # PostgreSQL's own names
    kind = "PRIMARY KEY" if table is intents else "CONSTRAINT records_of_request UNIQUE"
    connection.exec_driver_sql(f"ALTER TABLE {table.name} DROP CONSTRAINT {name}")
    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD {kind} (tenant, request_id)")
