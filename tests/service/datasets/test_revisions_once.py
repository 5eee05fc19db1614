"""Corrections and additions are done once for a key, side by side without one, and whole."""

import asyncio
import errno
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from store.store import Store
from tests.service.datasets.dataset_calls import created, stored
from tests.service.datasets.tables_of_rows import as_csv, made
from tests.service.datasets.test_corrections import uploaded
from tests.service.in_process import InProcess, assert_problem, job_and_dataset_counts

KEY = {"idempotency-key": "the-same"}
DROP = {"drop": [{"split": "train", "row": 0}]}
ROWS = {"embeddings": [[1, 2, 3, 4]], "labels": ["cat"]}
CALLS: dict[str, tuple[str, Any, Any]] = {
    "corrections": ("corrections", DROP, {"drop": [{"split": "train", "row": 1}]}),
    "rows": ("rows", ROWS, ROWS | {"labels": ["dog"]}),
}


@pytest.fixture
def parent(client: InProcess) -> dict[str, Any]:
    return uploaded(client, as_csv(made()), "text/csv")


@pytest.mark.parametrize("call", CALLS)
def test_a_repeated_request_gets_the_first_answer(
    client: InProcess, store: Store, parent: dict[str, Any], call: str
) -> None:
    name, body, other = CALLS[call]
    path = f"/datasets/{parent['id']}/{name}"
    first = client.post(path, json=body, headers=KEY)
    created(first)
    assert client.delete(f"/datasets/{parent['id']}").status_code == 204
    again = client.post(path, json=body, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    response = client.post(path, json=other, headers=KEY)
    assert_problem(response, 422, "idempotency_key_reused", "Idempotency-Key")
    assert job_and_dataset_counts(store) == (0, 1)


@pytest.mark.parametrize("query", ["note=x", "name=x", "keep_seconds=60", "label=x"])
def test_another_query_is_another_request(
    client: InProcess, parent: dict[str, Any], query: str
) -> None:
    path, content = f"/datasets/{parent['id']}/rows", as_csv(made(3))
    headers = {**KEY, "content-type": "text/csv"}
    created(client.post(path, content=content, headers=headers))
    response = client.post(f"{path}?{query}", content=content, headers=headers)
    assert_problem(response, 422, "idempotency_key_reused")


def at_once(
    client: InProcess, path: str, bodies: list[Any], headers: dict[str, str]
) -> list[dict[str, Any]]:
    async def send() -> list[Any]:
        return await asyncio.gather(
            *(client.send("POST", path, json=body, headers=headers) for body in bodies)
        )

    return [created(response) for response in asyncio.run(send())]


@pytest.mark.parametrize("call", CALLS)
def test_two_at_once_with_a_key_make_one_dataset(
    client: InProcess, store: Store, parent: dict[str, Any], call: str
) -> None:
    name, body, _ = CALLS[call]
    one, other = at_once(client, f"/datasets/{parent['id']}/{name}", [body, body], KEY)
    assert one == other
    assert job_and_dataset_counts(store) == (0, 2)


@pytest.mark.parametrize("call", CALLS)
def test_two_at_once_make_two_datasets(
    client: InProcess, store: Store, parent: dict[str, Any], call: str
) -> None:
    name, *bodies = CALLS[call]
    made_ones = at_once(client, f"/datasets/{parent['id']}/{name}", bodies, {})
    assert len({one["sha256"] for one in made_ones}) == 2
    assert {one["parent_id"] for one in made_ones} == {parent["id"]}
    assert job_and_dataset_counts(store) == (0, 3)


@pytest.mark.parametrize("call", CALLS)
def test_a_full_disk_leaves_nothing(
    client: InProcess,
    store: Store,
    leftovers: Callable[[], list[str]],
    parent: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    name, body, _ = CALLS[call]
    path, kept = f"/datasets/{parent['id']}/{name}", stored(store)
    for module, function in (("os", "posix_fallocate"), (tempfile, "mkdtemp")):
        with monkeypatch.context() as patch:
            if isinstance(module, str):
                patch.setattr(f"{module}.{function}", full)
            else:
                patch.setattr(module, function, full)
            assert_problem(client.post(path, json=body), 503, "storage_full")
        assert (stored(store), leftovers(), job_and_dataset_counts(store)) == (kept, [], (0, 1))
    created(client.post(path, json=body))
