"""Advise a value for abstain_below, and show what it does on test and OOD rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune import Head, HeldOut
from nmtune.trust.abstention import Advice, Answered, advise, apply
from nmtune.vocabulary import ID_SPLIT, OOD_PREFIX, domain_of

Judged = Mapping[str, tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]]
"""Split -> each row's largest probability, and whether the predicted class is right."""


def of_splits(head: Head, held_out: HeldOut | None, judged: Judged) -> dict[str, Any]:
    """The threshold for `head`, chosen on rows held out from its training, tried on test and OOD.

    Test and OOD rows play no part in the choice.
    """
    advice, n_held_out = _advice(head, held_out), 0 if held_out is None else len(held_out.y)
    splits: dict[str, Answered] = {}
    if advice.threshold is not None:
        splits = {
            split: apply(confidence, is_correct, advice.threshold)
            for split, (confidence, is_correct) in judged.items()
            if split == ID_SPLIT or split.startswith(OOD_PREFIX)
        }
    return {
        "threshold": advice.threshold,
        "reason": advice.reason,
        "n_held_out_rows": n_held_out,
        "splits": {split: one.to_dict() for split, one in splits.items()},
        "sentence": _sentence(advice, splits),
    }


def _advice(head: Head, held_out: HeldOut | None) -> Advice:
    if held_out is None:
        return Advice(
            threshold=None,
            reason="No threshold is advised, because no rows were held out from this training. Add "
            'a split "validation", or use method "auto".',
        )
    # In float32, as the served head: a threshold must mean the same there.
    logits = held_out.logits / np.float32(head.temperature)
    tempered = HeldOut(logits=logits, y=held_out.y, n_train_rows=held_out.n_train_rows)
    confidence = np.exp(tempered.log_probabilities.max(axis=1)).astype(np.float32)
    return advise(confidence, held_out.correct)


def _sentence(advice: Advice, splits: Mapping[str, Answered]) -> str:
    if advice.threshold is None:
        return advice.reason
    if not splits:
        return f"abstain_below={advice.threshold:g}: {advice.reason}"
    parts = [_on(split, one) for split, one in splits.items()]
    return f"With abstain_below={advice.threshold:g}, the head answers {'; '.join(parts)}."


def _on(split: str, one: Answered) -> str:
    where = "test rows" if split == ID_SPLIT else f"rows of {domain_of(split)}"
    if one.accuracy is None or one.accuracy_interval is None:
        return f"none of the {where}"
    low, high = one.accuracy_interval
    return (
        f"{one.coverage:.0%} of the {where} and is right on {one.accuracy:.1%} of those ({low:.1%} "
        f"to {high:.1%}), against {one.accuracy_of_all:.1%} of all"
    )
