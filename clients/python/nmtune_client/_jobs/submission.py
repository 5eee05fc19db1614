"""The fields of a new job, and its rows: inline, or stored first as a dataset; no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, TypeAlias

from numpy.typing import NDArray

from nmtune_client._datasets import arrays
from nmtune_client._datasets.labels import label_list, split_list
from nmtune_client._datasets.values import Dataset
from nmtune_client._http.errors import APIStatusError

Encoder: TypeAlias = str | Mapping[str, Any] | Dataset
"""An encoder to compare: a provider by name or as a mapping, or a stored dataset or its id."""

# As float32 bytes. Base64 makes a third more of it; the server takes 64 MiB of JSON.
MOST_INLINE_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The fields of a job; `arrays`: rows too many to go inline, to be stored as a dataset."""

    data: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] | None = None
    merge_similar: bool = False

    def with_dataset(self, dataset: Dataset) -> Mapping[str, Any]:
        """The fields, once the arrays were stored."""
        return {**self.data, "dataset_id": dataset.id}


def submission(
    *,
    name: str,
    embeddings: object,
    labels: object,
    splits: object,
    merge_similar: bool,
    texts: object,
    provider: str | Mapping[str, Any] | None,
    dataset: str | Dataset | None,
    encoders: Sequence[Encoder] | None = None,
    sample: int | None = None,
    dataset_id: str | None = None,
    method: str | None,
    paradigm: str | None = None,
    config: Mapping[str, Any] | None,
    analyses: Sequence[str] | None,
    compare: bool = True,
    alias: str | None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    queue: str | None,
    priority: int | None,
    alias_always: bool = False,
) -> Submission:
    """What `jobs.create` sends for these arguments; ValueError for what cannot be right."""
    dataset = one_dataset(dataset, dataset_id)
    compared = None if encoders is None else list(map(_encoder, encoders))
    n_sources = sum(given is not None for given in (dataset, embeddings, texts))
    have_rows = bool(compared) and all("dataset_id" in one for one in compared or ())
    if n_sources > 1 or (n_sources == 0 and not have_rows):
        raise ValueError("pass either dataset_id=, or embeddings= or texts= and labels=")
    if texts is not None and provider is None and encoders is None:
        raise ValueError("texts need provider=, which embeds them, or encoders= to compare")
    data: dict[str, Any] = {
        "name": name,
        "method": method,
        "paradigm": paradigm,
        "config": dict(config) if config else None,
        "analyses": list(analyses) if analyses else None,
        "compare": None if compare else False,
        "alias": alias,
        "alias_always": True if alias_always else None,
        "description": description,
        "tags": dict(tags) if tags else None,
        "queue": queue,
        "priority": priority,
        "provider": {"name": provider} if isinstance(provider, str) else provider,
        "encoders": compared,
        "sample": sample,
    }
    if n_sources == 0:
        return Submission(data=data)
    if dataset is not None:
        if labels is not None or splits is not None or merge_similar:
            raise ValueError(
                "labels, splits and merge_similar belong to embeddings, not to a stored dataset"
            )
        data["dataset_id"] = dataset
        return Submission(data=data)
    if merge_similar:
        data["merge_similar"] = True
    if texts is not None:
        return Submission(data=data | _text_rows(texts, labels, splits))
    if isinstance(embeddings, str | PathLike):
        raise ValueError(
            f"{fspath(embeddings)!r} is a path, not rows: store the file, and pass "
            f"dataset=client.datasets.upload({fspath(embeddings)!r})"
        )
    if labels is None:
        raise ValueError("embeddings need labels, one a row")
    x = arrays.embeddings_array(embeddings)
    y = label_list(labels, n_rows=len(x))
    of_row = None if splits is None else split_list(splits, n_rows=len(x))
    if x.nbytes > MOST_INLINE_BYTES:
        data.pop("merge_similar", None)  # it is said with the arrays
        return Submission(
            data=data,
            arrays=arrays.npz_arrays(x, y, of_row, with_rows=True),
            merge_similar=merge_similar,
        )
    data |= {"embeddings": arrays.inline(x), "labels": y}
    return Submission(data=data if of_row is None else data | {"splits": of_row})


def _encoder(one: Encoder) -> Mapping[str, Any]:
    """An encoder to compare as the API takes it."""
    if isinstance(one, Dataset):
        return {"dataset_id": one.id}
    if isinstance(one, str):
        return {"dataset_id" if one.startswith("ds_") else "name": one}
    return one


def one_dataset(dataset: str | Dataset | None, dataset_id: str | None) -> str | None:
    """The dataset's id, of a call that takes it by either name; ValueError for two of them."""
    named = dataset if dataset is None or isinstance(dataset, str) else dataset.id
    if named is not None and dataset_id is not None and named != dataset_id:
        raise ValueError("dataset= and dataset_id= name two datasets: pass one of them")
    return dataset_id if named is None else named


def needed_dataset(dataset: str | Dataset | None, dataset_id: str | None) -> str:
    """As `one_dataset`; ValueError for none."""
    found = one_dataset(dataset, dataset_id)
    if found is None:
        raise ValueError("pass dataset_id=, the id of a stored dataset")
    return found


def planned(
    dataset: str | Dataset | None,
    *,
    dataset_id: str | None,
    provider: str | Mapping[str, Any] | None,
    encoders: Sequence[Encoder] | None = None,
    sample: int | None = None,
    method: str | None,
    paradigm: str | None = None,
    config: Mapping[str, Any] | None,
    analyses: Sequence[str] | None,
    compare: bool = True,
) -> Mapping[str, Any]:
    """The fields of a job that is only asked about."""
    return submission(
        name="plan",  # a job needs one
        embeddings=None,
        labels=None,
        splits=None,
        merge_similar=False,
        texts=None,
        provider=provider,
        encoders=encoders,
        sample=sample,
        dataset=(one_dataset if encoders else needed_dataset)(dataset, dataset_id),
        method=method,
        paradigm=paradigm,
        config=config,
        analyses=analyses,
        compare=compare,
        alias=None,
        queue=None,
        priority=None,
    ).data


def _text_rows(texts: object, labels: object, splits: object) -> dict[str, Any]:
    """Texts as the fields of a job."""
    if labels is None:
        raise ValueError("texts need labels, one a row")
    values = arrays.text_list(texts)
    rows: dict[str, Any] = {
        "texts": values,
        "labels": label_list(labels, n_rows=len(values)),
    }
    of_row = None if splits is None else split_list(splits, n_rows=len(values))
    return rows if of_row is None else rows | {"splits": of_row}


def dataset_key(key: str | None) -> str | None:
    """The Idempotency-Key of a job's dataset, for the job's own."""
    return f"{key}.dataset" if key else None


def note_stored(error: APIStatusError, dataset: Dataset) -> None:
    """Tell with a job's refusal that its rows need not be sent again."""
    error.add_note(f"The rows were stored: dataset_id={dataset.id!r} has them.")
