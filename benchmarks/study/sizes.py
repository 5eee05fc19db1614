"""The three sizes of the study: which cells it has, and how its encoders are trained."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

Kind = Literal["uniform", "class", "instance"]
KINDS: Final[tuple[Kind, ...]] = ("uniform", "class", "instance")
CLEAN: Final = "clean"
"""The kind of the cells without noise, whose level is 0."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How weights are trained by AdamW: passes over the rows, rows a step, first learning rate."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Size:
    """One size of the study.

    levels: the shares of labels to make wrong. rows_of_a_class: pre-training rows of each of the
    first n_classes classes; None takes all. widths: of the encoder's layers; of pictures also
    blocks, the residual blocks of each stage, and the first layer's stride. rank: of LoRA.
    """

    name: str
    reads: Literal["texts", "pictures"]
    levels: tuple[float, ...]
    n_seeds: int
    models_at_a_time: int
    widths: tuple[int, ...]
    pretraining: Steps
    lora: Steps
    full: Steps
    rank: int
    head_epochs: int = 30
    downstream_rows: int = 720
    test_rows: int | None = None
    n_classes: int | None = None
    rows_of_a_class: int | None = None
    blocks: tuple[int, ...] = ()
    stem_stride: int = 1
    kinds: tuple[Kind, ...] = field(default=KINDS)

    @property
    def digest(self) -> str:
        """Of everything that changes a cell's result, in eight hexadecimal digits.

        How many seeds, levels and kinds there are changes none, so a study can be made larger.
        """
        settings = asdict(self)
        for free in ("name", "levels", "n_seeds", "kinds", "models_at_a_time"):
            del settings[free]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


TINY: Final = Size(
    name="tiny",
    reads="texts",
    levels=(0.1, 0.3),
    n_seeds=20,
    models_at_a_time=35,
    widths=(48, 96, 64),
    pretraining=Steps(epochs=12, batch_size=512, learning_rate=4e-3, weight_decay=1e-2),
    lora=Steps(epochs=6, batch_size=64, learning_rate=2e-2),
    full=Steps(epochs=6, batch_size=64, learning_rate=5e-3),
    rank=8,
)
CPU: Final = Size(
    name="cpu",
    reads="pictures",
    levels=(0.1, 0.3),
    n_seeds=3,
    models_at_a_time=1,
    widths=(16, 32, 64),
    blocks=(1, 1, 1),
    stem_stride=2,
    n_classes=60,
    rows_of_a_class=200,
    downstream_rows=2000,
    test_rows=2000,
    pretraining=Steps(epochs=6, batch_size=64, learning_rate=3e-3, weight_decay=1e-2),
    lora=Steps(epochs=3, batch_size=64, learning_rate=5e-3),
    full=Steps(epochs=3, batch_size=64, learning_rate=1e-3),
    rank=8,
    head_epochs=15,
)
GPU: Final = Size(
    name="gpu",
    reads="pictures",
    levels=(0.05, 0.1, 0.2, 0.3),
    n_seeds=3,
    models_at_a_time=1,
    widths=(32, 64, 128, 256),
    blocks=(2, 2, 2, 2),
    downstream_rows=5000,
    test_rows=10_000,
    pretraining=Steps(epochs=16, batch_size=512, learning_rate=3e-3, weight_decay=1e-2),
    lora=Steps(epochs=5, batch_size=64, learning_rate=5e-3),
    full=Steps(epochs=5, batch_size=64, learning_rate=1e-3),
    rank=8,
)
SIZES: Final = {size.name: size for size in (TINY, CPU, GPU)}
