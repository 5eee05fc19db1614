"""Say in an answer how far to trust it: conformal sets and OOD scores."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
from anyio import to_thread
from numpy.typing import NDArray

from service.http.errors import Problem
from service.predict.options import PredictionOptions
from service.predict.predictor import Prediction
from store.registry.heads import HeadVersion

if TYPE_CHECKING:
    from nmtune.trust.conformal import Conformal
    from nmtune.trust.knowledge import Knowledge
    from nmtune.trust.ood_score import OodScore

Fields = dict[str, Any]


async def of_rows(found: Prediction, x: NDArray[np.floating], options: PredictionOptions) -> Fields:
    """The fields that `options` asked for, for embeddings x (n, d), one entry per row.

    Raises:
        Problem: 422, the head has not learnt what the options need.
        DataError: its held-out rows were too few for the level.
    """
    if options.conformal_level is None and not options.ood:
        return {}
    return await to_thread.run_sync(_fields, found, x, options)


async def of_row(found: Prediction, x: NDArray[np.floating], options: PredictionOptions) -> Fields:
    """The same for one row (1, d), without the lists."""
    fields = await of_rows(found, x, options)
    if "sets" in fields:
        fields["set"] = fields.pop("sets")[0]
    if "ood" in fields:
        ood = fields["ood"]
        fields["ood"] = {
            "score": float(ood["scores"][0]),
            "threshold": ood["threshold"],
            "is_ood": bool(ood["is_ood"][0]),
        }
    return fields


def _fields(found: Prediction, x: NDArray[np.floating], options: PredictionOptions) -> Fields:
    fields: Fields = {}
    knowledge = found.serving.loaded.knowledge
    if options.conformal_level is not None:
        if found.class_shares is not None:
            raise not_with_class_shares(found.version, is_of_alias=options.class_shares is None)
        conformal = _conformal(knowledge, found.version)
        fields["conformal_level"] = conformal.level(options.conformal_level)
        fields["sets"] = _named(conformal.sets(found.probabilities, options.conformal_level), found)
    if options.ood:
        ood = _ood(knowledge, found.version)
        scores = ood.score(np.asarray(x, np.float32))
        fields["ood"] = {
            "scores": scores,
            "threshold": ood.threshold,
            "is_ood": (scores > ood.threshold).tolist(),
        }
    return fields


def _named(is_in: NDArray[np.bool_], found: Prediction) -> list[list[str]]:
    """The names of each row's set, the most probable first."""
    ordered = np.argsort(-found.probabilities, axis=1, kind="stable")
    return [
        [found.classes[at] for at in order[:size]]
        for order, size in zip(ordered.tolist(), is_in.sum(axis=1).tolist(), strict=True)
    ]


def not_with_class_shares(version: HeadVersion, *, is_of_alias: bool) -> Problem:
    """The refusal of conformal sets under class shares: their thresholds were learnt without."""
    reference = f"{version.name}@{version.version}"
    without = f"ask {reference}: the alias has shares" if is_of_alias else "leave out one of them"
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        "conformal_level does not go with class_shares, since the sets are right only for rows "
        f"with the class shares of the training rows: {without}.",
        field="conformal_level",
    )


def _conformal(knowledge: "Knowledge | None", version: HeadVersion) -> "Conformal":
    if knowledge is None or knowledge.conformal is None:
        raise _not_learnt(
            version,
            "conformal_level",
            "conformal sets, which need held-out rows. Train it again with method auto, or with a "
            "validation split.",
        )
    return knowledge.conformal


def _ood(knowledge: "Knowledge | None", version: HeadVersion) -> "OodScore":
    if knowledge is None or knowledge.ood is None:
        raise _not_learnt(
            version,
            "ood",
            "an OOD score, which needs 100 training rows. Train it again with enough rows.",
        )
    return knowledge.ood


def _not_learnt(version: HeadVersion, field: str, what: str) -> Problem:
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "not_learnt",
        f"The head {version.name}@{version.version} has not learnt {what}",
        field=field,
    )
