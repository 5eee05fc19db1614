"""A prediction's file with known class shares, and what training records of its own."""

from typing import Any

import numpy as np
from sqlalchemy import update

from store.database import tables
from store.registry import heads
from tests.workers.child.test_predict import (
    add_rows,
    expected,
    head_bytes,  # noqa: F401  a fixture
    place,  # noqa: F401  a fixture
    rows,
    submit,
    table,
)
from tests.workers.workplace import CLASSES, Workplace

Numbers = np.ndarray[Any, Any]
EVEN = dict.fromkeys(CLASSES, 1 / 3)


def _know(place: Workplace, shares: dict[str, float]) -> None:  # noqa: F811
    """Have the head's version know the class shares of its training rows."""
    with place.store.database.begin() as tx:
        tx.execute(update(tables.head_versions).values(lineage={"class_shares": shares}))


def test_the_file_is_corrected_by_bayes_rule(place: Workplace, head_bytes: bytes) -> None:  # noqa: F811
    _know(place, EVEN)
    shares = dict(zip(CLASSES, (0.8, 0.15, 0.05), strict=True))
    x = rows(1500)
    found = table(place, place.run(submit(place, add_rows(place, x), class_shares=shares)))
    raised = expected(head_bytes, x).astype(np.float64) * np.array(list(shares.values())) * 3
    corrected = raised / raised.sum(axis=1, keepdims=True)
    values = found["probabilities"].combine_chunks().flatten().to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(values, corrected, atol=1e-5)
    assert found["label"].to_pylist() == [CLASSES[at] for at in values.argmax(axis=1)]
    assert (values.argmax(axis=1) != expected(head_bytes, x).argmax(axis=1)).any()


def test_a_head_that_does_not_know_its_shares_fails_the_job(place: Workplace) -> None:  # noqa: F811
    ended = place.run(submit(place, add_rows(place, rows(10)), class_shares=EVEN))
    assert ended is not None
    assert ended.error is not None
    assert ended.error["code"] == "class_shares_unknown"


def test_a_training_records_the_shares_of_its_rows(workplace: Workplace) -> None:
    ended = workplace.run(workplace.submit({"l2": 1.0}, method="linear_probe"))
    assert ended is not None
    with workplace.store.database.read() as tx:
        version = heads.resolve(tx, "default", str(ended.name))
    shares = version.lineage["class_shares"]
    assert list(shares) == list(CLASSES)
    assert abs(sum(shares.values()) - 1) < 1e-12
