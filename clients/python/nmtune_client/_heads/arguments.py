"""The arguments of `client.heads`, checked and put as the API has them."""

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Literal

from nmtune_client._datasets import arrays
from nmtune_client._datasets.labels import label_list
from nmtune_client._datasets.values import Dataset
from nmtune_client._heads import calls
from nmtune_client._http.wire import Call

EXPORT_SUFFIXES = {
    "bundle": ".zip",
    "onnx": ".onnx",
    "safetensors": ".safetensors",
    "sklearn": ".skops",
    "mlflow": "-mlflow",
    "hf": "-hf",
    "peft": "-peft.zip",
    "encoder": "-encoder.zip",
}
FOLDERS = ("mlflow", "hf")
"""Formats that become a folder."""


def export(
    name: str, version: int | str, *, form: str, path: str | PathLike[str] | None
) -> tuple[Call[None], Path]:
    """The download of a version, and where it goes; ValueError for another format, FileExistsError
    for a folder that is there.
    """
    if form not in EXPORT_SUFFIXES:
        raise ValueError(f"format must be one of {', '.join(EXPORT_SUFFIXES)}, got {form!r}")
    target = Path(fspath(path or f"{name}-{version}{EXPORT_SUFFIXES[form]}"))
    if form in FOLDERS and target.exists():
        raise FileExistsError(f"{target} exists already: remove it, or name another place")
    return calls.export_head_version(name, str(version), form=form), target


def labelled(
    embeddings: object, labels: object, texts: object, dataset: str | Dataset | None
) -> dict[str, object]:
    """The rows to adapt to, as the API has them; ValueError for none or for several kinds."""
    if dataset is not None:
        if embeddings is not None or texts is not None or labels is not None:
            raise ValueError("a stored dataset has rows and labels of its own: pass it alone")
        return {"dataset_id": dataset if isinstance(dataset, str) else dataset.id}
    if (embeddings is None) == (texts is None):
        raise ValueError("pass embeddings or texts, with labels, or dataset=")
    if labels is None:
        raise ValueError("adapting needs labels, one a row")
    if texts is not None:
        rows = arrays.text_list(texts)
        return {"texts": rows, "labels": label_list(labels, n_rows=len(rows))}
    x = arrays.embeddings_array(embeddings)
    return {"embeddings": arrays.inline(x), "labels": label_list(labels, n_rows=len(x))}


def alias_update(
    version: int, class_shares: Mapping[str, float] | Literal["kept"] | None
) -> dict[str, object]:
    """Where an alias is to point; "kept" leaves its class shares as they are, None removes them."""
    if class_shares == "kept":
        return {"version": version}
    return {
        "version": version,
        "class_shares": dict(class_shares) if isinstance(class_shares, Mapping) else None,
    }


def notes(description: str | None, tags: Mapping[str, str] | None) -> dict[str, object]:
    """What is to be noted: None leaves a note as it is, an empty description removes it."""
    found: dict[str, object] = {} if description is None else {"description": description or None}
    return found if tags is None else found | {"tags": dict(tags)}


def compared(*given: int | str | None) -> tuple[str, str]:
    """The two versions of a comparison out of before, after and the API's from and to."""
    before, after, from_, to = given
    found = [before if from_ is None else from_, after if to is None else to]
    if None in found or (None not in (before, from_)) or (None not in (after, to)):
        raise ValueError("pass two versions, as in compare('pets', 2, 'prod')")
    return str(found[0]), str(found[1])
