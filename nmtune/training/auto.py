"""The home of method `auto` on arrays: train what it chooses from, choose, blend, calibrate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from nmtune.config import TuneConfig
from nmtune.heads.head import Head
from nmtune.numeric.torch_state import own_state
from nmtune.training import choose
from nmtune.training.candidates import CHOSEN_FROM, ROBUST, resolve
from nmtune.training.choose import Choice
from nmtune.training.trainer import Fit, Trainer


@dataclass(frozen=True, kw_only=True)
class AutoFit:
    """The chosen head, why it was chosen, how it was calibrated, and every training behind it."""

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
    """The head that a job of method `auto` would publish, without what it is compared with.

    x (n, d), y (n,) class indices, and the rest are as for Trainer, which also raises what may be
    wrong with them. configs: by candidate, as `resolve` gives them; those of `seed` if None.
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
            noisy = choose.labels_look_noisy(choose.label_errors(held_out))
    held_out_of = {name: fit.held_out for name, fit in fits.items() if fit.held_out is not None}
    choice = choose.choose(held_out_of, noisy=noisy)
    head, calibration = choose.blend(
        choice, {name: fit.head for name, fit in fits.items()}, held_out_of
    )
    return AutoFit(head=head, choice=choice, note=calibration.note, fits=fits)
