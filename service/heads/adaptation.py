"""POST /heads/{name}/adapt: read labelled rows, fit the change, publish a version if it pays."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmtune.heads import adaptation
from nmtune.heads.adaptation import MOST_ROWS, Adaptation, check
from nmtune.heads.class_shares import shares_of
from nmtune.heads.score_change import Change
from nmtune.numeric.softmax import probabilities_of
from nmtune.trust import abstention
from nmtune.vocabulary import TRAIN
from service.heads.adaptation_schemas import AdaptAnswer, AdaptRequest
from service.heads.schemas import HeadVersion as HeadVersionShown
from service.heads.schemas import HeldOutLoss
from service.http import idempotency
from service.http.errors import Problem
from service.http.idempotency import Answer, Key
from service.ingest.dataset import inline
from service.ingest.errors import BadInput
from service.ingest.numbers import check_n_rows
from store import datasets
from store.access import audit, quotas
from store.access.audit import Actor
from store.access.limits import Limits
from store.database.connection import Transaction
from store.files.labelled import LabelledFile, LabelledSplit
from store.idempotency import StoredResponse
from store.registry import heads
from store.registry.aliases import Outcome
from store.registry.heads import HeadVersion, NewHeadVersion
from store.store import Store

if TYPE_CHECKING:
    from nmtune.heads.head import Head

logger = logging.getLogger(__name__)

Rows = NDArray[np.floating[Any]] | list[str]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Rows of the new domain, embeddings (n, d) or n texts, with class indices y (n,) of the head.

    dataset_id, split: where they are stored, if they are.
    """

    rows: Rows
    y: NDArray[np.int64]
    dataset_id: str | None = None
    split: str | None = None


def read(body: AdaptRequest, version: HeadVersion, store: Store) -> Labelled:
    """The rows of a request, as many and of such classes as adapting takes: a provider may be paid
    for them next. Blocking. Raises BadInput, DataError, NotFound and Problem.
    """
    if body.dataset_id is not None:
        found = _stored(body, body.dataset_id, version, store)
    else:
        found = _sent(body, version)
    field = "labels" if body.dataset_id is None else "dataset_id"
    check(found.y, n_classes=len(version.classes), field=field)
    return found


def _sent(body: AdaptRequest, version: HeadVersion) -> Labelled:
    rows: Rows
    if body.texts is not None:
        rows = body.texts
    else:
        rows = inline.read_embeddings(body.embeddings, max_rows=MOST_ROWS)
    column = inline.read_labels(body.labels, n_rows=len(rows))
    return Labelled(
        rows=rows, y=_in_head(column.codes, column.names or (), version, field="labels")
    )


def _stored(body: AdaptRequest, dataset_id: str, version: HeadVersion, store: Store) -> Labelled:
    with store.database.read() as tx:
        dataset = datasets.get(tx, version.tenant_id, dataset_id)
    if not dataset.is_labelled:
        raise _wrong("unlabelled", "The dataset has no labels: adapting needs them.", "dataset_id")
    file = LabelledFile.open(dataset, store.artifacts)
    if body.split is not None and body.split not in file.splits:
        known = ", ".join(map(repr, list(file.splits)[:10]))
        raise _wrong(
            "unknown_split", f"There is no split {body.split!r}; there are {known}.", "split"
        )
    chosen = {name: one for name, one in file.splits.items() if body.split in (None, name)}
    if TRAIN in chosen and dataset.sha256 == version.dataset_sha256:
        raise _wrong(
            "rows_already_learnt",
            "These are the rows that the head was trained on, which cannot show what a new domain "
            "needs: name another split, or send other rows.",
            "split",
        )
    places = {name: _places(body, one) for name, one in chosen.items()}
    check_n_rows(sum(map(len, places.values())), MOST_ROWS, field="dataset_id")
    codes = np.concatenate([np.asarray(one.y)[places[name]] for name, one in chosen.items()])
    rows = _rows(chosen, places)
    file.check(dataset.sha256)
    return Labelled(
        rows=rows,
        y=_in_head(codes, file.classes, version, field="dataset_id"),
        dataset_id=dataset_id,
        split=body.split,
    )


def _places(body: AdaptRequest, split: LabelledSplit) -> NDArray[np.int64]:
    n_rows = len(split.y)
    if body.rows is None:
        return np.arange(n_rows)
    beyond = next((row for row in body.rows if row >= n_rows), None)
    if beyond is not None:
        raise _wrong(
            "unknown_row",
            f"The split {body.split} has the rows 0 to {n_rows - 1:,}, and no row {beyond:,}.",
            "rows",
        )
    return np.array(body.rows, np.int64)


def _rows(chosen: Mapping[str, LabelledSplit], places: Mapping[str, NDArray[np.int64]]) -> Rows:
    parts = [(one.rows, places[name]) for name, one in chosen.items()]
    if isinstance(parts[0][0], list):
        return [str(rows[at]) for rows, where in parts for at in where.tolist()]
    return np.concatenate([np.asarray(rows[where], np.float32) for rows, where in parts])


def _in_head(
    codes: NDArray[np.int64], names: Sequence[str], version: HeadVersion, *, field: str
) -> NDArray[np.int64]:
    """Class indices of the head for codes of `names`; BadInput names the first unknown label."""
    index = {name: at for at, name in enumerate(version.classes)}
    found = np.array([index.get(name, -1) for name in names], np.int64)[codes]
    unknown = np.flatnonzero(found < 0)
    if len(unknown):
        row = int(unknown[0])
        raise BadInput(
            "unknown_class",
            f"The label in row {row} is {names[codes[row]][:80]!r}, which is no class of "
            f"{version.name}@{version.version}. Adapting keeps the classes: leave such rows out, "
            "or train again with them.",
            field=field,
            row=row,
            count=len(unknown),
        )
    return found


def adapt(
    body: AdaptRequest,
    version: HeadVersion,
    labelled: Labelled,
    x: NDArray[np.float32],
    *,
    key: Key | None,
    store: Store,
    actor: Actor,
    limits: Limits,
) -> Answer:
    """Fit the change to rows x (n, d), publish the version if it pays, and say so. Blocking.

    Raises DataError if x is too few rows or not for the head, QuotaReached.
    """
    from nmtune.heads.head import Head  # torch comes with the first head

    head = Head.from_bytes(store.artifacts.get_bytes(version.tenant_id, version.sha256))
    scores = head.logits(x) / np.float64(head.temperature)
    found = adaptation.adapt(scores, labelled.y, x=x)
    if found.change is None:
        answer = AdaptAnswer(published=False, reason=found.reason, held_out=_loss(found))
        stored = StoredResponse(status_code=200, body=answer.model_dump_json().encode())
        return idempotency.once(store, version.tenant_id, key, lambda _: stored)
    adapted = _equipped(head, found.change, found)
    reference = store.artifacts.put_bytes(version.tenant_id, adapted.to_bytes())
    shares = _implied(found.change.scores(scores, x), version)
    new = NewHeadVersion(
        name=version.name,
        sha256=reference.sha256,
        size_bytes=reference.size_bytes,
        method=version.method,
        n_columns=version.n_columns,
        classes=version.classes,
        n_parameters=adapted.n_parameters,
        config=version.config,
        metrics={},  # those of the version before are of other probabilities
        lineage=version.lineage
        | {"class_shares": shares, "adaptation": _record(version, labelled, x, found)},
        adapted_from=version.version,
        alias=body.alias,
        encoder=version.encoder,
    )

    def publish(tx: Transaction) -> StoredResponse:
        quotas.check_stored_bytes(tx, version.tenant_id, limits, more=new.size_bytes)
        return _publish(tx, body, version, new, found, actor)

    return idempotency.once(store, version.tenant_id, key, publish)


def _publish(
    tx: Transaction,
    body: AdaptRequest,
    version: HeadVersion,
    new: NewHeadVersion,
    found: Adaptation,
    actor: Actor,
) -> StoredResponse:
    # Once more in this transaction: the version may have been deleted since.
    heads.version(tx, version.tenant_id, version.name, version.version)
    published = heads.publish(
        tx, version.tenant_id, job_id=version.job_id, dataset_id=version.dataset_id, new=new
    )
    notes = body.model_dump(include=body.model_fields_set & {"description", "tags"})
    number = published.version.version
    _note(tx, actor, version, number, published.alias)
    made = heads.annotate(tx, version.tenant_id, version.name, number, notes=notes)
    answer = AdaptAnswer(
        published=True,
        reason=found.reason,
        held_out=_loss(found),
        version=HeadVersionShown.of(made),
    )
    logger.info(
        "head.adapted name=%s version=%d from=%d n_rows=%d alias=%s",
        *(version.name, number, version.version, len(found.held_out_y), body.alias),
    )
    return StoredResponse(status_code=201, body=answer.model_dump_json().encode())


def _note(
    tx: Transaction, actor: Actor, parent: HeadVersion, number: int, alias: Outcome | None
) -> None:
    """The audit of a new version, and of an alias that moved to it."""
    target = f"{parent.name}@{number}"
    audit.note(tx, actor, "head.adapted", target, from_version=parent.version)
    if alias is not None and alias.moved:
        target = f"{parent.name}@{alias.name}"
        audit.note(tx, actor, "alias.moved", target, before=alias.previous_version, after=number)


def _equipped(head: "Head", change: Change, found: Adaptation) -> "Head":
    """The adapted head, its conformal levels learnt anew from the rows' held-out probabilities."""
    from nmtune.heads.adapted_head import adapted_head
    from nmtune.trust.conformal import Conformal

    adapted = adapted_head(head, change)
    if adapted.knowledge is None:
        return adapted
    probabilities = probabilities_of(found.held_out_scores)
    of_truth = probabilities[np.arange(len(found.held_out_y)), found.held_out_y]
    return adapted.with_knowledge(replace(adapted.knowledge, conformal=Conformal.fit(of_truth)))


def _implied(scores: NDArray[np.floating], version: HeadVersion) -> dict[str, float]:
    """The class shares for which the adapted probabilities hold: their mean over the rows."""
    means = probabilities_of(scores).mean(axis=0)
    return dict(zip(version.classes, means.tolist(), strict=True))


def _record(
    version: HeadVersion, labelled: Labelled, x: NDArray[np.float32], found: Adaptation
) -> dict[str, Any]:
    """What the lineage says of it; see `AdaptationRecord`."""
    change, y = found.change, found.held_out_y
    assert change is not None  # noqa: S101
    probabilities = probabilities_of(found.held_out_scores)
    advice = abstention.advise(
        probabilities.max(axis=1).astype(np.float32), probabilities.argmax(axis=1) == y
    )
    digest = hashlib.sha256(np.ascontiguousarray(x).tobytes())
    digest.update(labelled.y.tobytes())
    return {
        "from_version": version.version,
        "n_rows": len(labelled.y),
        "dataset_id": labelled.dataset_id,
        "split": labelled.split,
        "rows_sha256": digest.hexdigest(),
        "class_shares": shares_of(labelled.y, version.classes),
        "strength": found.strength,
        "layer_strength": found.layer_strength,
        "temperature": change.temperature,
        "biases": dict(zip(version.classes, change.bias.tolist(), strict=True)),
        "held_out": _loss(found).model_dump(mode="json"),
        "abstain_below": advice.threshold,
        "abstain_reason": advice.reason,
    }


def _loss(found: Adaptation) -> HeldOutLoss:
    return HeldOutLoss(n_rows=len(found.held_out_y), **asdict(found.held_out))


def _wrong(code: str, message: str, field: str) -> Problem:
    return Problem(422, code, message, field=field)
