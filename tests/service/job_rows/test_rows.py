"""GET /jobs/{id}/rows: every filter and order against a plain list, cursors, names, refusals."""

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from service.app import create_app
from store import datasets, job_files
from store.files.dataset import DatasetFile
from store.names import DEFAULT_TENANT
from store.queue import LocalQueue
from store.store import Store
from tests.service.conftest import _open, _settings
from tests.service.in_process import InProcess, add_job, assert_problem, claim, succeed
from tests.service.job_rows.made_job import (
    MadeJob,
    add_job_with_rows,
    file_row,
    made_rows,
    row_id,
    row_text,
)
from tests.store.made_rows import clock_ahead, flip, statements

Row = dict[str, Any]
NAMES = ("file_row", "id", "text")


@pytest.fixture(scope="module")
def made_store(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Store]:
    store = _open(_settings(tmp_path_factory.mktemp("rows") / "data"), sqlite_template)
    yield store
    store.close()


@pytest.fixture(scope="module")
def made(made_store: Store, trained: bytes, tmp_path_factory: pytest.TempPathFactory) -> MadeJob:
    return add_job_with_rows(made_store, tmp_path_factory.mktemp("made"), trained)


@pytest.fixture(scope="module")
def ask(
    made_store: Store, made: MadeJob, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Ask for rows of the made job; the answer's JSON."""
    client = InProcess(
        create_app(
            _settings(tmp_path_factory.mktemp("app") / "data"),
            store=made_store,
            queue=LocalQueue(),
        )
    )

    def asked(**parameters: Any) -> Any:
        response = client.get(f"/jobs/{made.job.id}/rows", params=parameters)
        return response.json() if response.status_code == 200 else response

    return asked


def all_pages(ask: Callable[..., Any], *, limit: int = 200, **parameters: Any) -> list[Row]:
    items: list[Row] = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(limit=limit, **parameters, **cursor)
        items += page["items"]
        assert len(page["items"]) <= limit
        if page["next_cursor"] is None:
            assert page["n_matching"] == len(items)
            return items
        cursor = {"cursor": page["next_cursor"]}


def without_names(items: list[Row]) -> list[Row]:
    return [
        {key: one for key, one in item.items() if key not in (*NAMES, "neighbours")}
        for item in items
    ]


ONLY: dict[str, Callable[[Row, Row], bool]] = {
    "": lambda _row, _other: True,
    "errors": lambda row, _other: row["predicted"] != row["label"],
    "correct": lambda row, _other: row["predicted"] == row["label"],
    "suspected": lambda row, _other: row["suggested"] is not None,
    "gained": lambda row, other: (
        row["predicted"] == row["label"] and other["predicted"] != row["label"]
    ),
    "lost": lambda row, other: (
        row["predicted"] != row["label"] and other["predicted"] == row["label"]
    ),
}


def expected(
    made: MadeJob,
    *,
    candidate: str = "auto",
    against: str = "",
    only: str = "",
    sort: str = "row",
    **equal: str,
) -> list[Row]:
    """What the parameters mean, by a plain list."""
    rows = made.shown(candidate)
    others = made.shown(against or candidate)
    asks = only not in ("", "suspected") or "predicted" in equal
    kept = [
        row
        for row, other in zip(rows, others, strict=True)
        if not (asks and (row["predicted"] is None or other["predicted"] is None))
        and ONLY[only](row, other)
        and all(row[key] == value for key, value in equal.items())
    ]
    name = sort.removeprefix("-")
    if name == "suspicion":
        order = made.rows.suspects.rows.tolist()
        return sorted(kept, key=lambda row: order.index(row["row"]))
    if name == "row":
        return kept
    sign = -1 if sort.startswith("-") else 1
    known = [row for row in kept if row[name] is not None]
    return sorted(known, key=lambda row: sign * row[name]) + [
        row for row in kept if row[name] is None
    ]


FILTERS: list[dict[str, str]] = [
    {},
    {"split": "test"},
    {"label": "dog"},
    {"predicted": "owl"},
    {"split": "ood/web", "label": "cat", "predicted": "cat"},
    {"candidate": "mlp"},
    {"candidate": "mlp", "only": "errors"},
    {"candidate": "mlp", "predicted": "dog"},
    {"candidate": "linear_probe", "only": "correct", "split": "train"},
    {"only": "errors"},
    {"only": "correct"},
    {"only": "suspected"},
    {"only": "suspected", "split": "test"},
    {"only": "suspected", "candidate": "mlp"},
    {"only": "gained", "against": "mlp"},
    {"only": "lost", "against": "mlp", "split": "test"},
    {"only": "lost", "against": "linear_probe", "candidate": "auto"},
    {"only": "gained", "against": "auto", "candidate": "mlp", "label": "owl"},
]
ORDERS = ["row", "label_probability", "-label_probability", "ood_score", "-ood_score"]


@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize("asked", FILTERS, ids=lambda asked: ",".join(asked.values()) or "all")
def test_filters_and_orders_mean_what_they_say(
    ask: Callable[..., Any], made: MadeJob, asked: dict[str, str], sort: str
) -> None:
    items = all_pages(ask, sort=sort, **asked)
    assert without_names(items) == expected(made, sort=sort, **asked)


@pytest.mark.parametrize(
    "sort", ["predicted_probability", "-predicted_probability", "set_size", "-set_size"]
)
def test_values_of_the_published_head_are_orders_too(
    ask: Callable[..., Any], made: MadeJob, sort: str
) -> None:
    items = all_pages(ask, sort=sort, only="errors")
    assert without_names(items) == expected(made, sort=sort, only="errors")


@pytest.mark.parametrize("limit", [1, 3, 7, 43])
@pytest.mark.parametrize("sort", ["row", "-set_size", "ood_score"])
def test_pages_together_are_the_whole(ask: Callable[..., Any], limit: int, sort: str) -> None:
    small = all_pages(ask, sort=sort, only="correct", limit=limit)
    assert small == all_pages(ask, sort=sort, only="correct")


def test_the_most_doubtful_label_comes_first_with_its_neighbours(
    ask: Callable[..., Any], made: MadeJob
) -> None:
    items = all_pages(ask, only="suspected", sort="suspicion", neighbours=True)
    suspects, train = made.rows.suspects, made.rows.splits["train"]
    assert [item["row"] for item in items] == [41, 3, 17, 8]
    assert items[3]["neighbours"] is None, "not searched"
    for at, item in enumerate(items[:3]):
        assert item["neighbours"] == [
            {
                "row": row,
                "file_row": file_row("train", row),
                "id": row_id("train", row),
                "text": None,
                "label": made.rows.classes[train.label[row]],
                "similarity": pytest.approx(similarity, abs=1e-5),
            }
            for row, similarity in zip(
                suspects.neighbours[at].tolist(), suspects.similarities[at].tolist(), strict=True
            )
        ]


def test_rows_have_the_names_of_the_data_sent(ask: Callable[..., Any]) -> None:
    for item in all_pages(ask):
        assert item["file_row"] == file_row(item["split"], item["row"])
        assert item["id"] == row_id(item["split"], item["row"])
        assert item["text"] is None


def test_splits_of_which_the_candidate_says_nothing_are_named(ask: Callable[..., Any]) -> None:
    page = ask(candidate="mlp", only="errors")
    [note] = page["notes"]
    assert "train" in note
    assert "'mlp'" in note
    assert ask(only="errors")["notes"] == []


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "split": ({"split": "tset"}, "split", "train, test, ood/web"),
    "label": ({"label": "cow"}, "label", "cat, dog, owl"),
    "predicted": ({"predicted": "<b>"}, "predicted", "cat, dog, owl"),
    "candidate": ({"candidate": "nmtune"}, "candidate", "linear_probe, mlp, auto"),
    "against": ({"only": "gained", "against": "x"}, "against", "linear_probe, mlp, auto"),
    "no rival": ({"only": "gained"}, "against", "linear_probe, mlp"),
    "itself": ({"only": "lost", "against": "auto"}, "against", "itself"),
    "rival alone": ({"against": "mlp"}, "against", "needs only=gained"),
    "only": ({"only": "wrong"}, "only", ""),
    "sort": ({"sort": "size"}, "sort", ""),
    "suspicion": ({"sort": "suspicion"}, "sort", "needs only=suspected"),
    "neighbours": ({"neighbours": True}, "neighbours", "only=suspected"),
    "not its own": ({"candidate": "mlp", "sort": "set_size"}, "sort", "'auto'"),
    "limit": ({"limit": 0}, "limit", ""),
    "much": ({"limit": 201}, "limit", ""),
    "cursor": ({"cursor": "MTIzNDU2Nzg"}, "cursor", "Start again"),
    "odd cursor": ({"cursor": "\u00e9"}, "cursor", "Start again"),
    "misspelt": ({"splitt": "test"}, "splitt", "did you mean split"),
    "control": ({"split": "test\x00"}, "split", "train, test, ood/web"),
    "format": ({"format": "csv"}, "format", ""),
    "parquet limit": ({"format": "parquet", "limit": 5}, "limit", "JSON pages"),
    "parquet sort": ({"format": "parquet", "sort": "ood_score"}, "sort", "JSON pages"),
    "parquet neighbours": (
        {"format": "parquet", "only": "suspected", "neighbours": True},
        "neighbours",
        "JSON pages",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_what_there_is(ask: Callable[..., Any], case: str) -> None:
    parameters, field, told = REFUSED[case]
    code = "invalid_cursor" if "cursor" in field else "invalid_request"
    body = assert_problem(ask(**parameters), 422, code, field)
    assert told in body["detail"]


def test_a_cursor_is_of_its_own_list(ask: Callable[..., Any]) -> None:
    cursor = ask(only="errors", limit=2)["next_cursor"]
    assert ask(only="errors", limit=5, cursor=cursor)["items"], "the limit may change"
    for other in ({"only": "correct"}, {"only": "errors", "sort": "ood_score"}, {}):
        assert_problem(ask(cursor=cursor, **other), 422, "invalid_cursor", "cursor")
    for at in range(0, len(cursor), 3):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        assert_problem(ask(only="errors", cursor=changed), 422, "invalid_cursor", "cursor")


@pytest.mark.parametrize("asked", FILTERS, ids=lambda asked: ",".join(asked.values()) or "all")
def test_parquet_holds_all_matching_rows(
    client: InProcess, store: Store, trained: bytes, tmp_path: Path, asked: dict[str, str]
) -> None:
    made = add_job_with_rows(store, tmp_path, trained)
    response = client.get(
        f"/jobs/{made.job.id}/rows",
        params=asked,
        headers={"Accept": "application/vnd.apache.parquet"},
    )
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    assert response.headers["vary"] == "Accept"
    found = parquet.read_table(io.BytesIO(response.content)).to_pylist()
    listed = expected(made, **asked)
    assert len(found) == len(listed)
    for item, row in zip(found, listed, strict=True):
        assert item.pop("suspected") is (row.pop("suggested") is not None)
        assert item.pop("file_row") == file_row(row["split"], row["row"])
        assert item.pop("id") == row_id(row["split"], row["row"])
        assert item.pop("text") is None
        assert item == pytest.approx(row, abs=1e-5)


def test_texts_are_shown_and_long_ones_cut(
    client: InProcess, store: Store, trained: bytes, tmp_path: Path
) -> None:
    made = add_job_with_rows(store, tmp_path, trained, texts=True, long_text="é" * 1_000_000)
    first, second, *_ = client.get(f"/jobs/{made.job.id}/rows").json()["items"]
    assert first["text"] == "é" * 500 + "…"
    assert second["text"] == row_text("train", 1)
    assert (second["file_row"], second["id"]) == (file_row("train", 1), "train:1")
    response = client.get(f"/jobs/{made.job.id}/rows", params={"format": "parquet"})
    texts = parquet.read_table(io.BytesIO(response.content))["text"].to_pylist()
    assert texts[:2] == [first["text"], second["text"]]


def test_a_thousand_classes(
    client: InProcess, store: Store, trained: bytes, tmp_path: Path
) -> None:
    rows = made_rows([f"class {index}" for index in range(1000)])
    made = add_job_with_rows(store, tmp_path, trained, rows=rows)
    label = made.shown()[70]["label"]
    items = client.get(f"/jobs/{made.job.id}/rows", params={"label": label}).json()["items"]
    assert without_names(items) == expected(made, label=label)
    body = assert_problem(
        client.get(f"/jobs/{made.job.id}/rows", params={"label": "none"}), 422, "invalid_request"
    )
    assert "and 980 more" in body["detail"]


def test_of_a_deleted_dataset_the_values_stay(
    client: InProcess, store: Store, trained: bytes, tmp_path: Path
) -> None:
    made = add_job_with_rows(store, tmp_path, trained)
    with store.database.begin() as tx:
        datasets.delete(tx, DEFAULT_TENANT, made.job.dataset_id)
    page = client.get(f"/jobs/{made.job.id}/rows", params={"only": "errors"}).json()
    assert without_names(page["items"]) == expected(made, only="errors")[:50]
    assert {item[name] for item, name in itertools.product(page["items"], NAMES)} == {None}
    assert "deleted" in page["notes"][0]


def test_a_dataset_of_an_earlier_version_says_that_places_are_unknown(
    client: InProcess, store: Store, trained: bytes, tmp_path: Path
) -> None:
    made = add_job_with_rows(store, tmp_path, trained, has_names=False)
    page = client.get(f"/jobs/{made.job.id}/rows").json()
    assert {item["file_row"] for item in page["items"]} == {None}
    assert "earlier version" in page["notes"][0]


def test_no_rows_yet_no_longer_and_never(
    client: InProcess, store: Store, trained: bytes, tmp_path: Path
) -> None:
    assert_problem(client.get("/jobs/job_none/rows"), 404, "not_found")
    queued = add_job(store)
    body = assert_problem(client.get(f"/jobs/{queued}/rows"), 409, "job_file_not_ready")
    assert "wait until it has succeeded" in body["detail"]
    old = succeed(store, claim(store, queued), trained)
    body = assert_problem(client.get(f"/jobs/{old.id}/rows"), 404, "job_file_missing")
    assert "earlier version" in body["detail"]
    made = add_job_with_rows(store, tmp_path, trained)
    with clock_ahead(100 * 86_400), store.database.begin() as tx:
        job_files.expire(tx, days=90)
    body = assert_problem(client.get(f"/jobs/{made.job.id}/rows"), 410, "job_file_expired")
    assert "NMTUNE_JOB_FILES_DAYS" in body["detail"]


def test_damaged_rows_are_never_shown(
    client: InProcess, store: Store, trained: bytes, tmp_path: Path
) -> None:
    made = add_job_with_rows(store, tmp_path, trained)
    with store.database.read() as tx:
        file = job_files.get(tx, DEFAULT_TENANT, made.job.id, job_files.ROWS)
    flip(store.artifacts.open_path(DEFAULT_TENANT, file.sha256), at=-9)
    for form in ("json", "parquet"):
        response = client.get(f"/jobs/{made.job.id}/rows", params={"format": form})
        assert_problem(response, 503, "artifact_corrupt")


def test_a_page_costs_three_queries(
    client: InProcess, store: Store, trained: bytes, tmp_path: Path
) -> None:
    """The job, its file, its dataset; the other routes of a job cost one."""
    made = add_job_with_rows(store, tmp_path, trained)
    assert client.get("/heads").status_code == 200  # the tenant's limits are known from now on
    for path, n_queries in ((f"/jobs/{made.job.id}", 1), (f"/jobs/{made.job.id}/rows", 3)):
        with statements() as seen:
            assert client.get(path).status_code == 200
        assert len(seen) == n_queries, seen


def test_a_page_does_not_read_the_whole_dataset(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file may have gigabytes; names come from the blocks that hold them."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the whole file was opened")

    monkeypatch.setattr(DatasetFile, "open", refuse)
    [item] = ask(split="test", limit=1)["items"]
    assert item["file_row"] == file_row("test", item["row"])
