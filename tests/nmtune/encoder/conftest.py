"""The tiny encoder, labelled texts for it, and the probe that a training starts from."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune.config import TuneConfig
from nmtune.encoder.network import EncoderNetwork
from nmtune.heads.head import Head
from nmtune.training.trainer import Trainer
from tests.support import tiny_encoder

CLASSES = ("cat", "dog", "élan")


class Task(NamedTuple):
    """An encoder, training texts, and the solved probe on its vectors."""

    network: EncoderNetwork
    tokens: list[NDArray[np.int64]]
    y: NDArray[np.int64]
    start: Head


@pytest.fixture(scope="session")
def task() -> Task:
    network = EncoderNetwork.load(tiny_encoder.TINY, tiny_encoder.tensors())
    tokens, y = tiny_encoder.texts(64)
    config = TuneConfig.from_preset("linear_probe", scaling="rms", l2=1.0)
    trainer = Trainer(network.encode(tokens), y, classes=CLASSES, config=config)
    for _ in trainer:
        pass
    return Task(network, tokens, y, trainer.result().head)
