"""Choose the candidates that make the head of method `auto`, by their held-out predictions."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.heads.head import Head
from nmtune.heads.temperature import Calibration, calibrate
from nmtune.numeric.statistics import wilson_interval
from nmtune.rows.held_out import HeldOut
from nmtune.study.label_errors import LabelErrors, find_label_errors
from nmtune.study.noise_matrix import noise_matrix
from nmtune.training.candidates import CHOSEN_FROM
from nmtune.vocabulary import candidate_title

CLEARLY: Final = 2.0
"""A difference in held-out log loss of this many standard errors is not taken for chance."""

BY_FAR: Final = 4.0
"""A difference of this many standard errors gives the better one more than half of the weight."""

NOISY: Final = 0.10
"""Labels count as noisy if surely more than this share of the most confident predictions, by its 95
% interval, disagrees with them."""

FEWEST_ROWS_TO_CALL_NOISY: Final = 500
"""Held-out training rows; with fewer, a hard set looks like a noisy one."""

_BASES = ("whitened_probe", "linear_probe")
"""Any of them may be the head or its half; the earlier ones carry over better to other domains."""

JOINS: Final = "mlp_ensemble"
"""Joins a base if it is better. Where rows are too few to tell, it need not be trained."""

_BLENDED_UNDER_NOISE = ("robust_probe", "trimmed_probe", "mlp_ensemble")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One calibrated candidate on the held-out rows: accuracy 0..1, log loss in nats.

    accuracy_interval: the 95 % interval of the accuracy (Wilson), wide where rows are few.
    """

    candidate: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    log_loss: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The candidates that make the head, each with the weight of its calibrated logits.

    Attributes
    ----------
    weights : mapping of str to float
        Candidate -> weight; they sum to 1.
    reason : str
        Why, in full sentences.
    n_rows : int
        Held-out rows that the choice rests on, 0 if there were none.
    labels_look_noisy : bool
        Whether many labels seem wrong, so that the robust probe was trained too.
    evidence : tuple of Evidence
        Each candidate's accuracy and log loss on those rows.
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
    """Search a probe's out-of-fold predictions for wrong labels; None if there are none."""
    n_rows = held_out.n_train_rows
    if not n_rows:
        return None
    probabilities = np.exp(_calibrated(held_out).log_probabilities[:n_rows])
    return find_label_errors(probabilities, held_out.y[:n_rows])


def labels_look_noisy(errors: LabelErrors | None) -> bool:
    """Whether so many labels seem wrong that candidates which distrust labels are needed.

    Among the most confident predictions hard rows are rare but wrong labels are not. On 24 sets of
    clean labels, small and hard ones too, the lower end of the interval was at most 0.084 (of 0.12
    on a hard set of 1,120 rows); with 20 % flipped it was at least 0.16.
    """
    if errors is None or errors.n_rows < FEWEST_ROWS_TO_CALL_NOISY:
        return False
    low, _ = errors.disagreement_interval
    return low >= NOISY


def choose(held_out: Mapping[str, HeldOut], *, noisy: bool = False) -> Choice:
    """Choose by the candidates' held-out predictions on the same rows.

    In domain the candidates often tie, and in ties the simpler one carries over better to other
    domains. So a more flexible candidate comes in only if its held-out log loss is clearly lower:
    the whitened probe is the default, another base replaces it if clearly better, and the ensemble
    joins if clearly better than that probe: half and half, or with three quarters if by far. Noisy
    labels are poor judges, so then nothing is chosen by them: robust probe, trimmed probe and
    ensemble, which fail in different ways, are blended evenly.
    """
    known = {name: _calibrated(one) for name, one in held_out.items() if name in CHOSEN_FROM}
    if not known.keys() >= set(_BASES) or _has_one_row_a_class(known[_BASES[0]]):
        return Choice(
            weights={_BASES[0]: 1.0},
            reason="There are too few training rows to cross-validate, so "
            f"{candidate_title(_BASES[0])} was chosen, which did best where we tried so few.",
            n_rows=0,
            labels_look_noisy=False,
            evidence=(),
        )
    weights, reason = _noisy(known) if noisy else _clean(known)
    return Choice(
        weights=weights,
        reason=reason,
        n_rows=len(known[_BASES[0]].y),
        labels_look_noisy=noisy,
        evidence=tuple(
            Evidence(
                candidate=name,
                accuracy=one.accuracy,
                accuracy_interval=wilson_interval(one.accuracy, len(one.y)),
                log_loss=float(one.losses.mean()),
            )
            for name, one in known.items()
        ),
    )


def noise_of(errors: LabelErrors | None) -> NDArray[np.float64] | None:
    """The noise matrix that a head is calibrated through; None where labels do not look noisy.

    On clean or very hard sets it would do harm.
    """
    if errors is None or not labels_look_noisy(errors):
        return None
    return noise_matrix(errors)


def blend(
    choice: Choice,
    heads: Mapping[str, Head],
    held_out: Mapping[str, HeldOut],
    *,
    noise: NDArray[np.float64] | None = None,
) -> tuple[Head, Calibration]:
    """The chosen head, calibrated on its held-out predictions, through `noise` if there is any."""
    together = held_out_of_blend(choice, heads, held_out)
    calibration = calibrate(together, noise=noise)
    if len(choice.weights) == 1:
        (name,) = choice.weights
        return heads[name].calibrated(calibration.temperature), calibration
    head = Head.blend([heads[name] for name in choice.weights], list(choice.weights.values()))
    return head.calibrated(calibration.temperature), calibration


def held_out_of_blend(
    choice: Choice, heads: Mapping[str, Head], held_out: Mapping[str, HeldOut]
) -> HeldOut | None:
    """The blended held-out predictions of the chosen candidates; None if there are none."""
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


def _has_one_row_a_class(held_out: HeldOut) -> bool:
    """Whether no held-out row is of a class that was learnt: then the flattest guess looks best."""
    return int(np.bincount(held_out.y[: held_out.n_train_rows]).max()) < 2


def _clean(known: Mapping[str, HeldOut]) -> tuple[dict[str, float], str]:
    probe, text = _base(known)
    chosen, ensemble = candidate_title(probe), candidate_title(JOINS)
    if JOINS not in known:
        return {probe: 1.0}, f"{text}, so it was chosen."
    gain = _gain(known[JOINS], known[probe])
    errors = "standard errors of log loss"
    if gain >= BY_FAR:
        return {probe: 0.25, JOINS: 0.75}, (
            f"{text}; {ensemble} is better by far ({gain:.1f} {errors}), so it makes three "
            "quarters of the blend of the two."
        )
    if gain >= CLEARLY:
        return {probe: 0.5, JOINS: 0.5}, (
            f"{text}; {ensemble} is clearly better still ({gain:.1f} {errors}), so the two were "
            "blended half and half."
        )
    if gain <= -CLEARLY:
        return {probe: 1.0}, (
            f"{text}, and {ensemble} is worse ({-gain:.1f} {errors}), so {chosen} was chosen."
        )
    return {probe: 1.0}, (
        f"{text}, and {ensemble} is not clearly better ({gain:+.1f} {errors}), so {chosen} was "
        "chosen: of heads that tie in domain, the simpler one tends to do better on other domains."
    )


def _base(known: Mapping[str, HeldOut]) -> tuple[str, str]:
    """The first of the bases that no later one clearly beats, and how it compares, in words."""
    probe, *others = (name for name in _BASES if name in known)
    beaten = None
    for other in others:
        if _gain(known[other], known[probe]) >= CLEARLY:
            probe, beaten = other, probe
    against = beaten or next(name for name in _BASES if name in known and name != probe)
    gain = _gain(known[probe], known[against])
    return probe, (
        f"In cross-validation {candidate_title(probe)} {_against(gain, candidate_title(against))}"
    )


def _noisy(known: Mapping[str, HeldOut]) -> tuple[dict[str, float], str]:
    members = [name for name in _BLENDED_UNDER_NOISE if name in known]
    *first, last = map(candidate_title, members)
    named = f"{', '.join(first)} and {last}" if first else last
    return dict.fromkeys(members, 1 / len(members)), (
        f"Many training labels look wrong, so instead of choosing by them, {named} were blended "
        "evenly."
    )


def _gain(one: HeldOut, other: HeldOut) -> float:
    """How much lower the log loss of `one` is on the same rows, in standard errors."""
    difference = other.losses - one.losses
    error = difference.std() / math.sqrt(len(difference))
    return float(difference.mean() / error) if error > 0 else 0.0


def _against(gain: float, other: str) -> str:
    if gain >= CLEARLY:
        return f"is clearly better than {other} ({gain:.1f} standard errors of log loss)"
    return f"ties with {other}"


def _calibrated(held_out: HeldOut) -> HeldOut:
    temperature = calibrate(held_out).temperature
    return HeldOut(
        logits=held_out.logits / np.float32(temperature),
        y=held_out.y,
        n_train_rows=held_out.n_train_rows,
    )
