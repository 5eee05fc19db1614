"""A head behind a map answers as the head before it, and what moving costs is measured honestly."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune import DataError, Head, Trainer, TuneConfig
from nmtune.bridge.mapped_head import mapped_head
from nmtune.bridge.moving import move
from nmtune.bridge.space_map import SpaceMap
from nmtune.serving.folded import fold

CLASSES = ("cat", "dog", "owl")
WIDE, NARROW = 9, 6


def rows(
    n: int, *, seed: int = 0, width: int = NARROW
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Three blobs far from 0, in old vectors."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 3
    centres = np.random.default_rng(9).normal(size=(3, NARROW)) * 2 + 5
    return (centres[y] + random.normal(size=(n, NARROW))).astype(np.float32), y


def fitted(config: TuneConfig) -> Head:
    x, y = rows(120)
    trainer = Trainer(x, y, classes=CLASSES, config=config)
    for _ in trainer:
        pass
    return trainer.result().head


def space_of(width: int = WIDE) -> SpaceMap:
    random = np.random.default_rng(4)
    weight, bias = random.normal(size=(width, NARROW)), random.normal(size=NARROW) + 5
    return SpaceMap(weight=weight, bias=bias, strength=1.0, n_pairs=100)


PRESETS = ("linear_probe", "whitened_probe", "paper", "reference", "mlp_ensemble", "folded_nmtune")


@pytest.fixture(scope="module")
def heads() -> dict[str, Head]:
    """A head of each kind, and a blend of two."""
    more: dict[str, Any] = {"epochs": 20, "batch_size": 16}
    changes = {
        "paper": more,
        "reference": more | {"epochs": 60, "k": 1, "w_covariance": 0.0, "w_consistency": 0.0},
    }
    short = {"max_steps": 20}
    found = {
        name: fitted(
            TuneConfig.from_preset(
                name, **changes.get(name, short if not name.endswith("probe") else {})
            )
        )
        for name in PRESETS
    }
    found["blend"] = Head.blend([found["linear_probe"], found["mlp_ensemble"]], [0.3, 0.7])
    return found


@pytest.mark.parametrize("name", [*PRESETS, "blend"])
def test_a_moved_head_answers_as_the_head_for_mapped_rows(
    heads: dict[str, Head], name: str
) -> None:
    space, (old, _) = space_of(), rows(30, seed=2)
    x = ((old - space.bias) @ np.linalg.pinv(space.weight)).astype(np.float32)
    moved = Head.from_bytes(mapped_head(heads[name], space).to_bytes())
    expected = heads[name].predict_proba(space.apply(x))
    assert moved.n_columns == WIDE
    np.testing.assert_allclose(moved.predict_proba(x), expected, atol=2e-4)
    np.testing.assert_allclose(fold(moved).predict_proba(x), expected, atol=2e-4)
    assert len(set(expected.argmax(axis=1))) == len(CLASSES)


def test_a_map_to_another_space_is_refused(heads: dict[str, Head]) -> None:
    space = SpaceMap(weight=np.eye(4), bias=np.zeros(4), strength=1.0, n_pairs=100)
    with pytest.raises(DataError, match="leads to 4 columns, and the head takes 6"):
        mapped_head(heads["linear_probe"], space)


@pytest.mark.parametrize("n", [60, 400])
def test_a_linear_relation_is_found(n: int) -> None:
    truth, (old, _) = space_of(), rows(n)
    new = ((old - truth.bias) @ np.linalg.pinv(truth.weight)).astype(np.float32)
    space = SpaceMap.fit(new, old)
    assert np.abs(space.apply(new) - old).mean() < 0.05


def test_noise_asks_for_a_stronger_ridge() -> None:
    old, _ = rows(200)
    random = np.random.default_rng(3)
    new = random.normal(size=(200, 40))
    quiet, noisy = (
        SpaceMap.fit(
            np.hstack([old, new]).astype(np.float32),
            (old + noise * random.normal(size=old.shape)).astype(np.float32),
        )
        for noise in (0.01, 30.0)
    )
    assert quiet.strength < noisy.strength


def bridged(n: int, *, noise: float = 0.0, seed: int = 5) -> tuple[NDArray[np.float32], ...]:
    """New vectors, old vectors and classes of n texts."""
    old, y = rows(n, seed=seed)
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(NARROW, NARROW)))[0]
    new = old @ turn + noise * random.normal(size=old.shape)
    return new.astype(np.float32), old, y


def test_what_is_said_of_a_bridge_is_of_texts_that_it_has_not_seen(heads: dict[str, Head]) -> None:
    head = heads["linear_probe"]
    new, old, _ = bridged(200)
    found = move(head, new, old)
    assert (found.agreement.n_rows, found.agreement.share, found.trial) == (40, 1.0, None)
    assert found.space.n_pairs == 200
    assert found.head.knowledge is not None
    assert found.head.knowledge.conformal is None
    unrelated = np.random.default_rng(0).normal(size=(200, 190)).astype(np.float32)
    lost = move(head, unrelated, old)
    assert lost.agreement.share < 0.7, "190 columns meet 160 rows exactly, and say nothing"
    low, high = lost.agreement.interval
    assert low < lost.agreement.share < high


def test_equal_texts_count_once(heads: dict[str, Head]) -> None:
    new, old, _ = bridged(150)
    twice = np.repeat(np.arange(150), 2)
    found = move(heads["linear_probe"], new[twice], old[twice])
    assert (found.space.n_pairs, found.agreement.n_rows) == (150, 30)
    with pytest.raises(DataError, match="at least 100 different texts, and this one has 99"):
        move(heads["linear_probe"], new[:99], old[:99])


@pytest.mark.parametrize(("noise", "winner"), [(0.0, "map"), (3.0, "refit")])
def test_labels_decide_by_the_loss_on_held_out_texts(
    heads: dict[str, Head], noise: float, winner: str
) -> None:
    """In the first case the refit learns from labels that were dealt anew."""
    head = heads["linear_probe"]
    new, old, y = bridged(200, noise=noise)
    n_seen = []

    def refit(x: NDArray[np.float32], labels: NDArray[np.int64]) -> Head:
        n_seen.append(len(x))
        shown = labels if winner == "refit" else np.random.default_rng(0).permutation(labels)
        config = TuneConfig.from_preset("linear_probe", l2=1.0)
        trainer = Trainer(x, shown, classes=CLASSES, config=config)
        for _ in trainer:
            pass
        return trainer.result().head

    found = move(head, new, old, y=y, refit=refit)
    trial = found.trial
    assert trial is not None
    assert n_seen[0] == 160
    assert trial.gain == pytest.approx(trial.loss_moved - trial.loss_refitted)
    assert trial.gain_interval[0] < trial.gain < trial.gain_interval[1]
    assert found.is_refitted == (trial.loss_refitted < trial.loss_moved) == (winner == "refit")
    assert n_seen == ([160, 200] if winner == "refit" else [160])
    assert found.head.knowledge is not None
    assert found.head.knowledge.conformal is not None
