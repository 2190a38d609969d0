"""Bring the tables of a registry to today's schema: made if missing, exchanged where an older version made them."""

from __future__ import annotations

import sqlalchemy as sa

from gensafe.registry.tables import intents, meta, records


def is_current(connection: sa.Connection) -> bool:
    """Whether there is nothing to do."""
    found = set(sa.inspect(connection).get_table_names())
    return set(meta.tables) <= found and not any(_keyed_by_id_alone(connection, table) for table in (intents, records))


def bring_forward(connection: sa.Connection) -> None:
    """Make what is missing, and give a database made before request ids were per tenant its new keys.

    SQLite cannot change a key in place, so its two tables are copied. The caller's transaction makes it all or nothing.
    """
    for table in (intents, records):
        if _keyed_by_id_alone(connection, table):
            (_copy_table if connection.dialect.name == "sqlite" else _exchange_keys)(connection, table)
    meta.create_all(connection)


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
