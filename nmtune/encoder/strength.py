"""Choose an adapter's strength by texts that it did not learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.encoder.network import EncoderNetwork, Tokens
from nmtune.encoder.trainer import LoraFit
from nmtune.heads.temperature import fit_temperature
from nmtune.rows.held_out import HeldOut

STRENGTHS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""0 is the encoder and the head that the training started from."""


@dataclass(frozen=True, kw_only=True)
class Strength:
    """A chosen strength, and what the choice rests on.

    Attributes
    ----------
    strength : float
        One of STRENGTHS.
    losses : mapping of float to float
        The calibrated log loss of each strength on the held-out texts.
    held_out : HeldOut
        The chosen one's predictions of them, before the temperature.
    """

    strength: float
    losses: Mapping[float, float]
    held_out: HeldOut


def choose_strength(
    network: EncoderNetwork,
    fit: LoraFit,
    tokens: Tokens,
    y: NDArray[np.integer[Any]],
    *,
    among: tuple[float, ...] = STRENGTHS,
) -> Strength:
    """The strength with the least calibrated log loss on held-out texts; of equal ones the least.

    Between the two ends adapter and head both move in a straight line, as in WiSE-FT (Wortsman et
    al. 2022, arXiv 2109.01903); it costs a forward pass over these texts for each strength.
    """
    if fit.adapter is None:
        raise ValueError("after full fine-tuning there is no adapter whose strength could vary")
    found: dict[float, HeldOut] = {}
    for strength in among:
        vectors = network.encode(tokens, fit.adapter.at(strength))
        found[strength] = HeldOut(
            logits=fit.head_at(strength).logits(vectors),
            y=np.array(y, np.int64),
            n_train_rows=0,
        )
    losses = {strength: _calibrated_loss(one) for strength, one in found.items()}
    best = min(losses, key=lambda strength: (losses[strength], strength))
    return Strength(strength=best, losses=losses, held_out=found[best])


def _calibrated_loss(held_out: HeldOut) -> float:
    temperature = fit_temperature(held_out.logits, held_out.y)
    return float(held_out.tempered(temperature).losses.mean())
