"""The home of method `auto`: which candidates make the head, by what they said of held-out rows."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from nmtune.calibration import Calibration, calibrate
from nmtune.head import Head
from nmtune.held_out import HeldOut
from nmtune.label_errors import LabelErrors, find_label_errors

CLEARLY: Final = 2.0
"""Standard errors of a difference in held-out log loss from which it is no chance."""

NOISY: Final = 0.10
"""Share of other labels among the surest predictions from which labels count as noisy."""

FEWEST_ROWS_TO_CALL_NOISY: Final = 500
"""Held-out training rows; among fewer a hard set cannot be told from a noisy one."""

NAMES: Final = {
    "linear_probe": "the linear probe",
    "whitened_probe": "the whitened probe",
    "mlp_ensemble": "the MLP ensemble",
    "robust_probe": "the robust probe",
}


_UNDER_NOISE = ("linear_probe", "robust_probe", "mlp_ensemble")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One candidate on the held-out rows, calibrated: accuracy 0..1, log loss in nats."""

    candidate: str
    accuracy: float
    log_loss: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which candidates make the head, each with the weight of its calibrated logits.

    Attributes
    ----------
    weights
        By candidate, how much its logits count; they sum to 1.
    reason
        Why, in one full sentence.
    n_rows
        Held-out rows that the choice rests on; 0 where there were none.
    labels_look_noisy
        Whether many labels seem wrong, so that the robust probe was trained.
    evidence
        What the held-out rows say of each candidate.
    """

    weights: Mapping[str, float]
    reason: str
    n_rows: int
    labels_look_noisy: bool
    evidence: tuple[Evidence, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"evidence": [asdict(one) for one in self.evidence]}


def label_errors(held_out: HeldOut) -> LabelErrors | None:
    """The search for wrong labels among a probe's out-of-fold rows; None without any."""
    n_rows = held_out.n_train_rows
    if not n_rows:
        return None
    probabilities = np.exp(_calibrated(held_out).log_probabilities[:n_rows])
    return find_label_errors(probabilities, held_out.y[:n_rows])


def labels_look_noisy(errors: LabelErrors | None) -> bool:
    """Whether so many labels seem wrong that candidates which mistrust them are needed.

    Among the rows predicted most surely, hard rows are rare and wrong labels are not: measured on
    three sets, at most 0.06 disagree where labels are clean, at least 0.17 where 20 % are flipped.
    """
    if errors is None or errors.n_rows < FEWEST_ROWS_TO_CALL_NOISY:
        return False
    return errors.confident_disagreement - errors.disagreement_error >= NOISY


def choose(held_out: Mapping[str, HeldOut], *, noisy: bool = False) -> Choice:
    """Choose by the candidates' held-out predictions on the same rows.

    In domain the candidates are often tied, and then what is simpler carries over better to other
    domains: so a more flexible candidate comes in only where its held-out log loss is clearly
    less. The whitened probe is the start; the linear probe replaces it where it is clearly better;
    the ensemble joins, half and half, where it is clearly better than the probe. Noisy labels judge
    badly, so nothing is chosen by them: linear probe, robust probe and ensemble are blended evenly,
    whose faults under noise differ. (The whitened probe is left out: it is estimated class by
    class, from rows of which many are in the wrong one.)
    """
    known = {name: _calibrated(one) for name, one in held_out.items() if name in NAMES}
    if "linear_probe" not in known or "whitened_probe" not in known:
        return Choice(
            weights={"linear_probe": 1.0},
            reason="There are too few training rows to cross-validate: the linear probe was taken.",
            n_rows=0,
            labels_look_noisy=False,
            evidence=(),
        )
    weights, reason = _noisy(known) if noisy else _clean(known)
    return Choice(
        weights=weights,
        reason=reason,
        n_rows=len(known["linear_probe"].y),
        labels_look_noisy=noisy,
        evidence=tuple(
            Evidence(candidate=name, accuracy=one.accuracy, log_loss=float(one.losses.mean()))
            for name, one in known.items()
        ),
    )


def blend(
    choice: Choice, heads: Mapping[str, Head], held_out: Mapping[str, HeldOut]
) -> tuple[Head, Calibration]:
    """The chosen head, calibrated on what its members together said of the held-out rows."""
    together = held_out_of_blend(choice, heads, held_out)
    calibration = calibrate(together)
    if len(choice.weights) == 1:
        (name,) = choice.weights
        return heads[name], calibration
    head = Head.blend([heads[name] for name in choice.weights], list(choice.weights.values()))
    return head.calibrated(calibration.temperature), calibration


def held_out_of_blend(
    choice: Choice, heads: Mapping[str, Head], held_out: Mapping[str, HeldOut]
) -> HeldOut | None:
    """What the chosen candidates together said of the held-out rows; None if there were none."""
    if len(choice.weights) == 1:
        (name,) = choice.weights
        return held_out.get(name)
    parts = [
        weight * held_out[name].logits / heads[name].temperature
        for name, weight in choice.weights.items()
    ]
    first = held_out[next(iter(choice.weights))]
    return HeldOut(
        logits=np.sum(parts, axis=0, dtype=np.float32),
        y=first.y,
        n_train_rows=first.n_train_rows,
    )


def _clean(known: Mapping[str, HeldOut]) -> tuple[dict[str, float], str]:
    probe, simpler = "whitened_probe", "linear_probe"
    gain = _gain(known[simpler], known[probe])
    if gain >= CLEARLY:
        probe, simpler = simpler, probe
    taken = NAMES[probe]
    text = f"In cross-validation {taken} is {_against(abs(gain), NAMES[simpler])}"
    if "mlp_ensemble" not in known:
        return {probe: 1.0}, f"{text}, so it was taken."
    gain = _gain(known["mlp_ensemble"], known[probe])
    if gain >= CLEARLY:
        return {probe: 0.5, "mlp_ensemble": 0.5}, (
            f"{text}; {NAMES['mlp_ensemble']} is clearly better still ({gain:.1f} standard errors "
            "of log loss), so the two were blended half and half."
        )
    errors = "standard errors of log loss"
    if gain <= -CLEARLY:
        return {probe: 1.0}, (
            f"{text}, and {NAMES['mlp_ensemble']} is worse ({-gain:.1f} {errors}), so {taken} was "
            "taken."
        )
    return {probe: 1.0}, (
        f"{text}, and {NAMES['mlp_ensemble']} is not clearly better ({gain:+.1f} {errors}), so "
        f"{taken}, which is simpler, was taken: ties in domain are best broken that way for other "
        "domains."
    )


def _noisy(known: Mapping[str, HeldOut]) -> tuple[dict[str, float], str]:
    members = [name for name in _UNDER_NOISE if name in known]
    named = ", ".join(NAMES[name] for name in members)
    return dict.fromkeys(members, 1 / len(members)), (
        f"Many training labels look wrong, so nothing was chosen by them: {named} were blended "
        "evenly."
    )


def _gain(one: HeldOut, other: HeldOut) -> float:
    """By how much `one` has the lesser log loss on the same rows, in standard errors."""
    difference = other.losses - one.losses
    error = difference.std() / math.sqrt(len(difference))
    return float(difference.mean() / error) if error > 0 else 0.0


def _against(gain: float, other: str) -> str:
    if gain >= CLEARLY:
        return f"clearly better than {other} ({gain:.1f} standard errors of log loss)"
    return f"level with {other}"


def _calibrated(held_out: HeldOut) -> HeldOut:
    temperature = calibrate(held_out).temperature
    return HeldOut(
        logits=held_out.logits / np.float32(temperature),
        y=held_out.y,
        n_train_rows=held_out.n_train_rows,
    )
