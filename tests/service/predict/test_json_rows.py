"""The fast JSON parser takes plain bodies, and reads them as the careful parser does."""

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ingest.dataset import inline
from service.predict import fast_json

_BOUND = 2.0**50
FLOATS = st.floats(-_BOUND, _BOUND, width=32)
MATRICES = st.integers(1, 5).flatmap(
    lambda d: st.lists(
        st.lists(FLOATS | st.integers(-(2**40), 2**40), min_size=d, max_size=d),
        min_size=1,
        max_size=5,
    )
)


def body(embeddings: object, **more: object) -> bytes:
    return json.dumps({"head": "pets", "embeddings": embeddings, **more}).encode()


@given(MATRICES)
def test_it_reads_what_the_careful_way_reads(values: list[list[float]]) -> None:
    parsed = fast_json.parse(body(values), max_rows=10)
    assert parsed is not None
    assert (parsed.reference, parsed.options) == ("pets", {})
    careful = inline.read_embeddings(orjson.loads(body(values))["embeddings"])
    assert parsed.x.dtype == np.float32
    assert np.array_equal(parsed.x, careful)


def test_options_come_as_they_are_written() -> None:
    parsed = fast_json.parse(body([[1, 2]], top_k=2, output="logits"), max_rows=10)
    assert parsed is not None
    assert parsed.options == {"top_k": 2, "output": "logits"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b" {}",
        b'{"head": "pets"}',
        b'\xef\xbb\xbf{"head": "pets", "embeddings": [[1]]}',
        b'{"head": "pets", "embeddings": [[1]]',
        b'{"head": "pets", "embeddings": [[1]], "embeddings": [[2]]}',
        b'{"head": "pets", "embeddings": [[NaN]]}',
        b'{"head": "p[ts", "embeddings": [[1]]}',
        body([]),
        body([[]]),
        body([1, 2]),
        body([[1], [1, 2]]),
        body([[1, True]]),
        body([[1, None]]),
        body([[1, "2"]]),
        body([[[1, 2], []]]),
        body([[[1], [2]], [[3], [4]]]),
        body([[1e39]]),
        body([[1e30]]),
        body([[2**70]]),
        body([[1.0]] * 11),
        body([[1]], more=1),
        body({"base64": "AAAAAA==", "shape": [1, 1], "dtype": "float32"}),
        b'{"head": 1, "embeddings": [[1]]}',
        b'{"head": "' + b"p" * 130 + b'", "embeddings": [[1]]}',
    ],
)
def test_all_else_is_left_to_the_careful_way(content: bytes) -> None:
    assert fast_json.parse(content, max_rows=10) is None
    assert fast_json.parse(body([[1, 2]]), max_rows=10) is not None  # nothing is left behind


def test_large_bodies_are_read_too() -> None:
    x = np.random.default_rng(0).normal(size=(50, 100)).astype(np.float32)
    content = body(x.tolist())
    assert len(content) > 64 * 1024
    parsed = fast_json.parse(content, max_rows=50)
    assert parsed is not None
    assert np.array_equal(parsed.x, x)
