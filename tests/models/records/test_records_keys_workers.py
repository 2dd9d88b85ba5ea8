"""Keys are shown once and stored hashed; workers come and go."""

from __future__ import annotations

import hashlib
from typing import cast

import pytest

from models.records import KeyRecord, Records, Scope, hash_key


def test_a_key_is_shown_once_and_only_its_hash_is_kept(records: Records) -> None:
    key_id, key = records.add_key("laptop", ["train", "sample"])
    assert key.startswith(f"atl_{key_id}_")
    assert len(key.split("_", 2)[2]) == 43  # 256 bits in base64
    assert records.key_hashes() == [KeyRecord(key_id, "laptop", hash_key(key), ("sample", "train"))]
    assert hash_key(key) == hashlib.sha256(key.encode()).hexdigest()
    assert key not in repr(records.keys())


def test_keys_are_listed_oldest_first(records: Records) -> None:
    for name in ("a", "b", "c"):
        records.add_key(name, ["sample"])
    listed = records.keys()
    assert [key.name for key in listed] == ["a", "b", "c"]


def test_keys_are_all_different(records: Records) -> None:
    assert records.add_key("a", ["sample"])[1] != records.add_key("a", ["sample"])[1]


def test_a_revoked_key_is_gone(records: Records) -> None:
    key_id, _ = records.add_key("laptop", ["admin"])
    assert records.revoke_key(key_id)
    assert not records.revoke_key(key_id)
    assert records.key_hashes() == []


@pytest.mark.parametrize("scopes", [[], ["sample", "everything"]])
def test_a_key_needs_known_scopes(records: Records, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="sample, train, admin"):
        records.add_key("laptop", cast("list[Scope]", scopes))


def test_a_worker_is_listed_from_its_first_word_to_its_last(records: Records) -> None:
    records.worker_seen("one", "host", 42, 2, "train")
    first = records.workers()[0]
    records.worker_seen("one", "host", 42, 2, "train")
    records.worker_seen("two", "host", 43, 1, "background")
    listed = records.workers()
    assert [(w.id, w.host, w.pid, w.devices, w.queue) for w in listed] == [
        ("one", "host", 42, 2, "train"),
        ("two", "host", 43, 1, "background"),
    ]
    assert listed[0].started_at == first.started_at
    assert listed[0].seen_at >= first.seen_at
    records.worker_gone("one")
    records.worker_gone("one")
    assert [worker.id for worker in records.workers()] == ["two"]
