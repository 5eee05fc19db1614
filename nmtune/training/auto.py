"""Method `auto` on arrays: train the candidates, choose, blend and calibrate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from nmtune.config import TuneConfig
from nmtune.heads.head import Head
from nmtune.numeric.torch_state import own_state
from nmtune.training import choose
from nmtune.training.candidates import CHOSEN_FROM, ROBUST, resolve
from nmtune.training.choose import JOINS, Choice
from nmtune.training.trainer import Fit, Trainer


@dataclass(frozen=True, kw_only=True)
class AutoFit:
    """The result of `fit_auto`.

    Attributes
    ----------
    head : Head
        The chosen and calibrated head.
    choice : Choice
        What was chosen and why.
    note : str
        How it was calibrated.
    fits : mapping of str to Fit
        The training of each candidate.
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
    """Train probes and an ensemble, and choose or blend them by cross-validation.

    This gives the head that a job of method "auto" publishes. In domain the candidates often tie,
    and in ties the simpler one carries over better to other domains, so a more flexible candidate
    is chosen only if its held-out log loss is lower by two standard errors. With fewer than 20 rows
    the whitened probe is taken at once.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings.
    y : array_like of int, shape (n,)
        Class indices.
    classes : sequence of str
        The name of each class index.
    configs : mapping of str to TuneConfig, optional
        The config of each candidate, as `resolve` returns them; by default the presets with `seed`.
    seed : int, default=0
        Used only if configs is None.
    validation, groups, sample_weight, device
        As for `Trainer`.

    Returns
    -------
    AutoFit

    Raises
    ------
    DataError
        Rows, labels or classes cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import fit_auto
    >>> y = np.arange(120) % 2
    >>> x = np.random.default_rng(0).normal(size=(120, 4)) + 2 * y[:, None]
    >>> fit = fit_auto(x, y, classes=["cat", "dog"])
    >>> fit.head.predict(x[:2])
    ['cat', 'dog']
    >>> round(sum(fit.choice.weights.values()), 6)
    1.0
    """
    if configs is None:
        configs = resolve(method="auto", config={"seed": seed}).configs
    fits: dict[str, Fit] = {}
    errors, noisy, too_few = None, False, False
    for name in CHOSEN_FROM:
        if (name in ROBUST and not noisy) or (name == JOINS and too_few):
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
        too_few |= held_out is None
        if name == "linear_probe" and held_out is not None:
            errors = choose.label_errors(held_out)
            noisy = choose.labels_look_noisy(errors)
    held_out_of = {name: fit.held_out for name, fit in fits.items() if fit.held_out is not None}
    choice = choose.choose(held_out_of, noisy=noisy)
    head, calibration = choose.blend(
        choice,
        {name: fit.head for name, fit in fits.items()},
        held_out_of,
        noise=choose.noise_of(errors),
    )
    return AutoFit(head=head, choice=choice, note=calibration.note, fits=fits)
