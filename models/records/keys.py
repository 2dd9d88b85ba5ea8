"""API keys: create, list, revoke. Only their hashes are stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection

from sqlalchemy import delete, insert, select

from models.records.database import Database, utc_now
from models.records.schema import KeyRow
from models.records.values import SCOPES, Key, KeyRecord, Scope

SECRET_BYTES = 32


def hash_key(key: str) -> str:
    """Return a key's sha256 in hexadecimal, as it is stored."""
    # A key has 256 random bits: a slow password hash would protect it no better.
    return hashlib.sha256(key.encode()).hexdigest()


class Keys(Database):
    """The part of `Records` that keeps keys."""

    def add_key(self, name: str, scopes: Collection[Scope]) -> tuple[str, str]:
        """Create a key, `atl_ID_SECRET`.

        Returns:
            Its id, and the whole key.

        Raises:
            ValueError: there are no scopes, or one is unknown.
        """
        unknown = set(scopes) - set(SCOPES)
        if unknown or not scopes:
            given = ", ".join(sorted(unknown)) or "none"
            raise ValueError(f"scopes of a key are one or more of {', '.join(SCOPES)}; given: {given}")
        key_id = secrets.token_hex(5)
        key = f"atl_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
        row = {
            "id": key_id,
            "name": name,
            "hash": hash_key(key),
            "scopes": [scope for scope in SCOPES if scope in scopes],
            "created_at": utc_now(),
        }
        with self._writing() as connection:
            connection.execute(insert(KeyRow).values(row))
        # The whole key is available only here; the database has its hash.
        return key_id, key

    def keys(self) -> list[Key]:
        """List the keys, oldest first."""
        statement = select(KeyRow.id, KeyRow.name, KeyRow.scopes, KeyRow.created_at)
        with self._reading() as connection:
            rows = connection.execute(statement.order_by(KeyRow.created_at, KeyRow.id))
            return [Key(row.id, row.name, _scopes(row.scopes), row.created_at) for row in rows]

    def key_hashes(self) -> list[KeyRecord]:
        statement = select(KeyRow.id, KeyRow.name, KeyRow.hash, KeyRow.scopes)
        with self._reading() as connection:
            rows = connection.execute(statement)
            return [KeyRecord(row.id, row.name, row.hash, _scopes(row.scopes)) for row in rows]

    def revoke_key(self, key_id: str) -> bool:
        """Delete a key; False when there is none of that id."""
        with self._writing() as connection:
            return connection.execute(delete(KeyRow).where(KeyRow.id == key_id)).rowcount > 0


def _scopes(stored: Collection[str]) -> tuple[Scope, ...]:
    return tuple(scope for scope in SCOPES if scope in stored)
