"""The home of method `auto` on arrays: train what it chooses from, choose, blend, calibrate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from nmtune import auto
from nmtune.auto import Choice
from nmtune.candidates import CHOSEN_FROM, ROBUST, resolve
from nmtune.config import TuneConfig
from nmtune.head import Head
from nmtune.torch_state import own_state
from nmtune.trainer import Fit, Trainer


@dataclass(frozen=True, kw_only=True)
class AutoFit:
    """The chosen head, why it was chosen, how it was calibrated, and every training behind it.

    Attributes
    ----------
    head
        The published head, calibrated.
    choice
        Which candidates make it, and why.
    note
        How it was calibrated, in a full sentence.
    fits
        Every training, by candidate.
    """

    head: Head
    choice: Choice
    note: str
    fits: Mapping[str, Fit]


@own_state()
def fit_auto(
    x: ArrayLike,
    y: ArrayLike,
    *,
    classes: Sequence[str],
    configs: Mapping[str, TuneConfig] | None = None,
    seed: int = 0,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    device: str = "cpu",
) -> AutoFit:
    """Train the head that a job of method `auto` would publish.

    Parameters
    ----------
    x
        Embeddings (n, d) of any float or integer type.
    y
        Class indices (n,).
    classes
        The name of each index.
    configs
        By candidate, as `resolve` gives them; None for those of `seed`.
    seed
        Seeds initial weights, the order of rows and the folds, where `configs` is None.
    validation
        Rows (x, y) to judge by beside the held-out folds, never trained on.
    groups
        (n,) which domain each row is from: cross-validation then holds out whole groups.
    sample_weight
        (n,) how much each row counts, not negative; only ratios matter.
    device
        Where to train, as torch names it.

    Returns
    -------
    AutoFit
        The head, why it was chosen, and every training behind it.

    Raises
    ------
    DataError
        Rows, labels or classes cannot be used; it names row and column.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(90) % 2
    >>> x = rng.normal(size=(90, 8)) + y[:, None]
    >>> configs = resolve(config={"max_steps": 20}).configs
    >>> found = fit_auto(x, y, classes=["no", "yes"], configs=configs)
    >>> found.head.classes
    ('no', 'yes')
    >>> round(sum(found.choice.weights.values()), 6)
    1.0
    """
    if configs is None:
        configs = resolve(method="auto", config={"seed": seed}).configs
    fits: dict[str, Fit] = {}
    noisy = False
    for name in CHOSEN_FROM:
        if name in ROBUST and not noisy:
            continue
        trainer = Trainer(
            x,
            y,
            classes=classes,
            config=configs[name],
            validation=validation,
            groups=groups,
            sample_weight=sample_weight,
            device=device,
        )
        for _ in trainer:
            pass
        fits[name] = trainer.result()
        held_out = fits[name].held_out
        if name == "linear_probe" and held_out is not None:
            noisy = auto.labels_look_noisy(auto.label_errors(held_out))
    held_out_of = {name: fit.held_out for name, fit in fits.items() if fit.held_out is not None}
    choice = auto.choose(held_out_of, noisy=noisy)
    head, calibration = auto.blend(
        choice, {name: fit.head for name, fit in fits.items()}, held_out_of
    )
    return AutoFit(head=head, choice=choice, note=calibration.note, fits=fits)
