"""What the report advises for abstain_below, and what that value does on test and OOD rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune import Head, HeldOut
from nmtune.report.comparison import OOD_PREFIX
from nmtune.trust.abstention import Advice, Answered, advise, apply

_ID = "test"

Judged = Mapping[str, tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]]
"""By split: each row's largest probability, and whether the class is right."""


def of_splits(head: Head, held_out: HeldOut | None, judged: Judged) -> dict[str, Any]:
    """The threshold for `head`, chosen on rows that its training held out, tried on the others.

    Test and OOD rows have no part in the choice.
    """
    advice, n_held_out = _advice(head, held_out), 0 if held_out is None else len(held_out.y)
    splits: dict[str, Answered] = {}
    if advice.threshold is not None:
        splits = {
            split: apply(confidence, is_correct, advice.threshold)
            for split, (confidence, is_correct) in judged.items()
            if split == _ID or split.startswith(OOD_PREFIX)
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
            reason="No threshold is advised: no rows were held out from this training. Send a "
            "split validation, or use method auto.",
        )
    # In float32, as the head answers: a threshold must mean the same there.
    logits = held_out.logits / np.float32(head.temperature)
    tempered = HeldOut(logits=logits, y=held_out.y, n_train_rows=held_out.n_train_rows)
    confidence = np.exp(tempered.log_probabilities.max(axis=1)).astype(np.float32)
    return advise(confidence, held_out.correct)


def _sentence(advice: Advice, splits: Mapping[str, Answered]) -> str:
    if advice.threshold is None:
        return advice.reason
    if not splits:
        return f"abstain_below={advice.threshold:g}: {advice.reason}"
    told = [_on(split, one) for split, one in splits.items()]
    return f"With abstain_below={advice.threshold:g} it answers {'; '.join(told)}."


def _on(split: str, one: Answered) -> str:
    where = "test rows" if split == _ID else f"rows of {split.removeprefix(OOD_PREFIX)}"
    if one.accuracy is None or one.accuracy_interval is None:
        return f"none of the {where}"
    low, high = one.accuracy_interval
    return (
        f"{one.coverage:.0%} of the {where} and is right in {one.accuracy:.1%} of them ({low:.1%} "
        f"to {high:.1%}), of all in {one.accuracy_of_all:.1%}"
    )
