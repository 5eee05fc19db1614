"""Requests that share a forward pass: each gets its own answer, and no queue grows."""

import asyncio
from typing import Any

import numpy as np
import pytest

from nmtune import Head
from nmtune.serving.folded import fold
from nmtune.serving.session import Answers, Session
from service.http.errors import Problem
from service.predict.batching import BATCH_ROWS, Batcher
from tests.service.in_process import train

Rows = tuple[np.ndarray, np.ndarray]


class Counting(Session):
    """A true engine that notes the rows of each pass."""

    def run(self, x: Any) -> Answers:
        vars(self).setdefault("passes", []).append(len(x))
        return super().run(x)

    @property
    def passes(self) -> list[int]:
        """Rows of each pass so far."""
        return list(vars(self).get("passes", []))


@pytest.fixture(scope="module")
def heads(rows: Rows) -> list[Head]:
    return [Head.from_bytes(train(rows, seed=seed)) for seed in range(2)]


@pytest.fixture
def engines(heads: list[Head]) -> list[Counting]:
    return [Counting(fold(head), n_threads=1) for head in heads]


def test_requests_at_once_share_a_pass_and_keep_their_answers(
    engines: list[Counting], heads: list[Head], rows: Rows
) -> None:
    batcher = Batcher(max_requests=100, max_rows=10_000)

    async def ask() -> list[Answers]:
        asked = [batcher.run(engines[i % 2], rows[0][i : i + 1 + i % 3]) for i in range(30)]
        return await asyncio.gather(*asked)

    for i, found in enumerate(asyncio.run(ask())):
        expected = heads[i % 2].predict_proba(rows[0][i : i + 1 + i % 3])
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert [len(engine.passes) for engine in engines] == [1, 1]


def test_a_large_request_takes_several_passes_and_lets_others_in_between(
    engines: list[Counting], heads: list[Head], rows: Rows
) -> None:
    batcher = Batcher(max_requests=10, max_rows=100)
    large = np.tile(rows[0], (100, 1))
    finished: list[str] = []

    async def named(name: str, x: np.ndarray) -> Answers:
        found = await batcher.run(engines[0], x)
        finished.append(name)
        return found

    async def ask() -> Answers:
        whole = asyncio.ensure_future(named("large", large))
        await asyncio.sleep(0)
        batcher.max_rows = 10_000
        await named("small", rows[0][:1])
        return await whole

    found = asyncio.run(ask())
    np.testing.assert_allclose(
        found.probabilities, np.tile(heads[0].predict_proba(rows[0]), (100, 1)), atol=1e-6
    )
    assert finished == ["small", "large"]
    assert max(engines[0].passes) <= BATCH_ROWS
    assert sum(engines[0].passes) == 4001


@pytest.mark.parametrize(("max_requests", "max_rows"), [(3, 10_000), (100, 3)])
def test_beyond_the_bound_requests_are_refused_at_once(
    engines: list[Counting], rows: Rows, max_requests: int, max_rows: int
) -> None:
    batcher = Batcher(max_requests=max_requests, max_rows=max_rows)

    async def ask() -> list[Answers | BaseException]:
        asked = [batcher.run(engines[0], rows[0][:1]) for _ in range(8)]
        return await asyncio.gather(*asked, return_exceptions=True)

    for _ in range(2):  # what was answered or refused leaves its place
        found = asyncio.run(ask())
        refused = [one for one in found if isinstance(one, Problem)]
        assert len(refused) == 5
        assert all(isinstance(one, Answers) for one in found[:3])
        assert {one.status_code for one in refused} == {429}
        assert refused[0].headers == {"Retry-After": "1"}


def test_one_request_alone_is_never_too_large(engines: list[Counting], rows: Rows) -> None:
    batcher = Batcher(max_requests=1, max_rows=1)
    assert len(asyncio.run(batcher.run(engines[0], rows[0])).scores) == 40


def test_a_client_that_leaves_takes_nobody_with_it(engines: list[Counting], rows: Rows) -> None:
    batcher = Batcher(max_requests=10, max_rows=100)

    async def ask() -> Answers:
        leaving = asyncio.ensure_future(batcher.run(engines[0], rows[0][:1]))
        staying = asyncio.ensure_future(batcher.run(engines[0], rows[0][1:2]))
        await asyncio.sleep(0)
        leaving.cancel()
        found = await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving
        batcher.check_room(100)
        return found

    assert len(asyncio.run(ask()).scores) == 1


def test_a_failing_pass_fails_those_in_it_alone(engines: list[Counting], rows: Rows) -> None:
    batcher = Batcher(max_requests=10, max_rows=100)

    async def ask() -> list[Answers | BaseException]:
        wrong = np.zeros((1, 7), np.float32)  # the predictor checks; this is what if it did not
        asked = [batcher.run(engines[0], wrong), batcher.run(engines[1], rows[0][:1])]
        return await asyncio.gather(*asked, return_exceptions=True)

    failed, answered = asyncio.run(ask())
    assert isinstance(failed, Exception)
    assert isinstance(answered, Answers)
