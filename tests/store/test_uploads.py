"""The rows of resumable uploads, on each database."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from store import uploads
from store.access import audit
from store.cleanup import expiry, garbage
from store.database import tables
from store.database.clock import seconds_from_now
from store.errors import NotFound, OffsetMismatch, TooManyParts
from store.store import Store
from store.uploads import Part, Upload


def create(store: Store, *, size_bytes: int = 10, **values: str) -> Upload:
    with store.database.begin() as tx:
        return uploads.create(tx, "default", size_bytes=size_bytes, keep_seconds=60, **values)


def add(store: Store, upload: Upload, *, sha256: str = "1" * 64, size_bytes: int = 4) -> Upload:
    with store.database.begin() as tx:
        return uploads.add_part(tx, upload, sha256=sha256, size_bytes=size_bytes, keep_seconds=60)


def test_parts_follow_on_each_other(store: Store) -> None:
    upload = create(store)
    upload = add(store, upload)
    upload = add(store, upload, sha256="2" * 64, size_bytes=6)
    assert upload.is_complete
    assert upload.n_parts == 2
    with store.database.read() as tx:
        assert uploads.get(tx, "default", upload.id) == upload
        assert uploads.parts(tx, "default", upload.id) == (
            Part(begin=0, size_bytes=4, sha256="1" * 64),
            Part(begin=4, size_bytes=6, sha256="2" * 64),
        )


def test_of_many_that_add_the_same_part_one_wins(store: Store) -> None:
    upload = create(store)

    def send(number: int) -> int:
        try:
            return add(store, upload, sha256=f"{number}" * 64).n_parts
        except OffsetMismatch as error:
            return -error.received_bytes

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(send, range(8))) == [-4] * 7 + [1]
    with store.database.read() as tx:
        assert len(uploads.parts(tx, "default", upload.id)) == 1


def test_no_part_is_added_to_what_is_not_there(store: Store) -> None:
    upload = create(store)
    expiry.remove_upload(store, audit.operator("default"), upload.id)
    with pytest.raises(NotFound):
        add(store, upload)
    with pytest.raises(NotFound):
        expiry.remove_upload(store, audit.operator("default"), upload.id)


def test_there_may_not_be_more_parts_than_so_many(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_PARTS", 1)
    upload = add(store, create(store))
    with pytest.raises(TooManyParts):
        add(store, upload)


def test_parts_are_no_garbage_until_the_upload_ends(store: Store) -> None:
    ref = store.artifacts.put_bytes("default", b"salt and bytes")
    upload = add(store, create(store), sha256=ref.sha256)
    with store.database.read() as tx:
        assert ("default", ref.sha256) in garbage.named(tx)
    garbage.collect(store, older_than_seconds=-1)
    assert store.artifacts.exists("default", ref.sha256)
    expiry.remove_upload(store, audit.operator("default"), upload.id)
    assert not store.artifacts.exists("default", ref.sha256)


def test_parts_whose_removal_was_cut_short_are_garbage(store: Store) -> None:
    """As if the process died between the row and the bytes."""
    ref = store.artifacts.put_bytes("default", b"salt and bytes")
    upload = add(store, create(store), sha256=ref.sha256)
    with store.database.begin() as tx:
        assert uploads.remove(tx, "default", upload.id) == (ref.sha256,)
    assert garbage.collect(store, older_than_seconds=-1).n_artifacts == 1


def test_an_upload_for_which_nothing_comes_expires(store: Store) -> None:
    kept, old = create(store), create(store, sha256="a" * 64)
    with store.database.begin() as tx:
        tx.execute(
            tables.uploads.update()
            .where(tables.uploads.c.id == old.id)
            .values(expires_at=seconds_from_now(-1))
        )
    with store.database.read() as tx:
        assert [one.id for one in uploads.page(tx, "default").items] == [kept.id]
        assert uploads.page(tx, "default", sha256="a" * 64).items == ()
        with pytest.raises(NotFound):
            uploads.get(tx, "default", old.id)
    with pytest.raises(NotFound):
        add(store, old)
    assert expiry.remove_expired(store).uploads == (old.id,)
    assert expiry.remove_expired(store).uploads == ()


def test_uploads_belong_to_a_tenant(store: Store) -> None:
    upload = create(store)
    with store.database.begin() as tx:
        assert uploads.page(tx, "theirs").items == ()
        assert uploads.parts(tx, "theirs", upload.id) == ()
        for ask in (uploads.get, uploads.remove):
            with pytest.raises(NotFound):
                ask(tx, "theirs", upload.id)
        with pytest.raises(NotFound):
            uploads.keep(tx, "theirs", upload.id, keep_seconds=1)
