"""Choose between a head on frozen embeddings and adapted encoders, by held-out texts."""

import math
from collections.abc import Mapping

from nmtune.heads.temperature import fit_temperature
from nmtune.numeric.statistics import wilson_interval
from nmtune.rows.held_out import HeldOut
from nmtune.training.choose import CLEARLY, Choice, Evidence
from nmtune.vocabulary import FROZEN_AUTO, candidate_title

_KEPT = "so the head on frozen embeddings was kept"


def choose_adapted(
    frozen: HeldOut | None,
    adapted: Mapping[str, HeldOut],
    *,
    noisy: bool = False,
) -> Choice:
    """The choice between `frozen_auto` and the adapted candidates, on the same held-out rows.

    An adapted encoder has to be served, so it comes in only if its calibrated log loss is clearly
    lower, in a paired comparison, and no fewer rows are right. With noisy labels it never does:
    fine-tuning memorises wrong labels sooner than a probe. frozen: None if nothing was held out.
    """
    if frozen is None or not adapted:
        return _frozen(
            f"There are too few training rows to judge an adapted encoder by, {_KEPT}.", {}, noisy
        )
    known = {FROZEN_AUTO: _calibrated(frozen)}
    known |= {name: _calibrated(one) for name, one in adapted.items()}
    if noisy:
        return _frozen(
            "Many training labels look wrong, and fine-tuning an encoder memorises such labels "
            f"sooner than a probe, {_KEPT}.",
            known,
            noisy,
        )
    best = min(adapted, key=lambda name: (float(known[name].losses.mean()), name))
    ours, theirs = known[best], known[FROZEN_AUTO]
    gain = _gain(ours, theirs)
    title = candidate_title(best)
    title = title[0].upper() + title[1:]
    figures = (
        f"log loss {ours.losses.mean():.3f} against {theirs.losses.mean():.3f}, {gain:+.1f} "
        "standard errors"
    )
    where = f"on {len(ours.y):,} texts that neither learnt from"
    if gain >= CLEARLY and ours.accuracy >= theirs.accuracy:
        reason = (
            f"{title} is clearly better than {candidate_title(FROZEN_AUTO)} {where} ({figures}), "
            "so it was chosen."
        )
        return _choice(best, reason, known, noisy)
    against = f"{candidate_title(FROZEN_AUTO)} {where} ({figures})"
    if gain < CLEARLY:
        reason = f"{title} is not clearly better than {against}, {_KEPT}."
    else:
        reason = f"{title} has a lower log loss than {against} but gets fewer right, {_KEPT}."
    return _frozen(reason, known, noisy)


def _frozen(reason: str, known: Mapping[str, HeldOut], noisy: bool) -> Choice:
    return _choice(FROZEN_AUTO, reason, known, noisy)


def _choice(name: str, reason: str, known: Mapping[str, HeldOut], noisy: bool) -> Choice:
    return Choice(
        weights={name: 1.0},
        reason=reason,
        n_rows=len(known[FROZEN_AUTO].y) if known else 0,
        labels_look_noisy=noisy,
        evidence=tuple(
            Evidence(
                candidate=candidate,
                accuracy=one.accuracy,
                accuracy_interval=wilson_interval(one.accuracy, len(one.y)),
                log_loss=float(one.losses.mean()),
            )
            for candidate, one in known.items()
        ),
    )


def _calibrated(held_out: HeldOut) -> HeldOut:
    return held_out.tempered(fit_temperature(held_out.logits, held_out.y))


def _gain(one: HeldOut, other: HeldOut) -> float:
    """How much lower the log loss of `one` is on the same rows, in standard errors."""
    difference = other.losses - one.losses
    error = difference.std() / math.sqrt(len(difference))
    return float(difference.mean() / error) if error > 0 else 0.0
