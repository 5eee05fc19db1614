"""Truncated vectors: their length, their width, and what they count as."""

from dataclasses import replace

import numpy as np
import pytest

from providers import truncation
from providers.catalogue import resolve
from providers.encoder import Encoder
from providers.errors import InvalidProvider

ENCODER = resolve("local-minilm")
NARROW = replace(ENCODER, truncate_dim=2)


def test_the_first_numbers_are_kept_and_scaled_to_length_one() -> None:
    x = np.array([[3, 4, 12], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(truncation.truncated(x, 2), [[0.6, 0.8], [0, 0]])
    assert truncation.truncated(x, 2).dtype == np.float32
    assert truncation.truncated(x, None) is x


@pytest.mark.parametrize(("truncate_dim", "n_columns"), [(3, 3), (4, 3), (0, 3), (0, None)])
def test_a_width_that_truncates_nothing_is_refused(
    truncate_dim: int, n_columns: int | None
) -> None:
    with pytest.raises(InvalidProvider) as caught:
        truncation.check_width(truncate_dim, n_columns)
    assert caught.value.field == "truncate_dim"


def test_another_width_is_another_encoder_that_asks_the_same() -> None:
    assert NARROW.identity != ENCODER.identity
    assert NARROW.whole == ENCODER
    assert NARROW.whole.identity == ENCODER.identity
    assert Encoder.from_dict(NARROW.to_dict()) == NARROW
    assert "truncate_dim" not in ENCODER.to_dict(), "stored encoders keep their identity"
    prints = {
        truncation.fingerprint_of(replace(ENCODER, truncate_dim=width), "f" * 64)
        for width in (None, 2, 3)
    }
    assert len(prints) == 3
    assert "f" * 64 in prints
