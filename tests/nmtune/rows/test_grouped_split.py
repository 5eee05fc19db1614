"""The grouped split parts no group, keeps the classes' shares, and is the same each time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmtune.errors import ConfigError, DataError
from nmtune.rows.split import grouped_split


@given(
    groups=st.lists(st.integers(0, 20), min_size=2, max_size=200).filter(lambda g: len(set(g)) > 1),
    fraction=st.floats(0.01, 0.9),
    seed=st.integers(0, 100),
)
def test_no_group_is_parted_and_every_row_is_there_once(
    groups: list[int], fraction: float, seed: int
) -> None:
    codes = np.array(groups)
    y = np.arange(len(groups)) % 3
    kept, held_out = grouped_split(y, codes, fraction=fraction, seed=seed)
    assert sorted([*kept, *held_out]) == list(range(len(groups)))
    assert len(kept)
    assert len(held_out)
    assert not set(codes[kept]) & set(codes[held_out])
    again = grouped_split(y, codes, fraction=fraction, seed=seed)
    np.testing.assert_array_equal(held_out, again[1])


def test_the_shares_are_near_those_of_all_rows() -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 200, 2000)
    y = (groups % 4 == 0).astype(int)
    _, held_out = grouped_split(y, groups, fraction=0.2, seed=1)
    assert 0.15 < len(held_out) / 2000 <= 0.2
    assert abs(y[held_out].mean() - y.mean()) < 0.05


def test_a_class_is_kept_where_it_can_be() -> None:
    groups = np.arange(10).repeat(3)
    y = (groups == 0).astype(int)  # one group is all of its class
    for seed in range(20):
        kept, _ = grouped_split(y, groups, fraction=0.3, seed=seed)
        assert set(y[kept]) == {0, 1}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"fraction": 0.0}, ConfigError),
        ({"fraction": 1.0}, ConfigError),
        ({"seed": -1}, ConfigError),
        ({"groups": np.zeros(4)}, DataError),
        ({"groups": np.arange(3)}, DataError),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, object], error: type[Exception]) -> None:
    arguments = {"groups": np.arange(4), "fraction": 0.5, "seed": 0} | changes
    groups = arguments.pop("groups")
    with pytest.raises(error):
        grouped_split(np.array([0, 1, 0, 1]), groups, **arguments)
