"""`nmtune predict`: the head's answers for rows or texts, a line each."""

import argparse
from argparse import Namespace
from collections.abc import Iterator
from itertools import chain
from typing import Any

from numpy.typing import NDArray

from nmtune_client import Client, Prediction
from nmtune_client._cli.predict_file import (
    add_options,
    check_not_of_files,
    check_order,
    predict_file,
)
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.options import Subparsers, declare, positive
from nmtune_client._cli.shared.output import print_json, say
from nmtune_client._cli.shares import add_shares, class_shares

_ABSTAINED = "-"


def add_predict(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune predict`."""
    predict = declare(commands, shared, "predict", predict_rows, "classify embeddings with a head")
    predict.add_argument(
        "head", metavar="HEAD", nargs="?", help="pets (latest version), pets@3 or pets@prod"
    )
    predict.add_argument(
        "--text",
        metavar="TEXT",
        action="append",
        help="a text, for a head that was trained on texts; may be repeated",
    )
    predict.add_argument(
        "source",
        metavar="FILE",
        nargs="?",
        help="rows: FILE.npy, FILE.npz:MEMBER, a text of numbers, or - for standard input; with "
        "--output any dataset file",
    )
    predict.add_argument("--top-k", metavar="K", type=positive(int), help="classes shown a row (1)")
    predict.add_argument(
        "--values",
        choices=("probabilities", "logits", "labels", "embeddings"),
        help="what to give of each row beside its label (probabilities)",
    )
    predict.add_argument(
        "--abstain-below", metavar="P", type=float, help="no label where the probability is less"
    )
    predict.add_argument(
        "--conformal-level",
        metavar="L",
        type=float,
        help="for each row the classes that hold the true one so often, e.g. 0.9",
    )
    predict.add_argument(
        "--ood",
        action="store_true",
        default=None,
        help="whether a row looks unlike the training rows",
    )
    add_shares(predict)
    add_options(predict)


def predict_rows(client: Client, arguments: Namespace) -> None:
    """`nmtune predict`: for each row a line with tabs: row, then class and probability."""
    if arguments.of_head is not None or arguments.output is not None:
        predict_file(client, arguments)
        return
    check_order(arguments)
    check_not_of_files(arguments)
    if arguments.top_k is not None and arguments.values not in (None, "probabilities"):
        raise ValueError(
            f"--top-k shows probabilities: leave it out, or --values {arguments.values}"
        )
    prediction = client.predict(
        arguments.head,
        None if arguments.text else _rows(arguments),
        texts=arguments.text,
        output=arguments.values,
        abstain_below=arguments.abstain_below,
        conformal_level=arguments.conformal_level,
        ood=arguments.ood,
        class_shares=class_shares(arguments.class_share),
    )
    if arguments.json:
        print_json(_json(prediction))
        return
    say(f"{prediction.head_name}@{prediction.head_version}: {len(prediction)} rows")
    for number, cells in enumerate(_lines(prediction, arguments)):
        print("\t".join([str(number), *cells]))


def _rows(arguments: Namespace) -> object:
    try:
        return inputs.embeddings(arguments.source)
    except inputs.TableError as error:
        raise ValueError(
            f"{error}: say where its predictions go, as in "
            f"nmtune predict {arguments.head} {arguments.source} --output OUT.parquet"
        ) from error


def _json(prediction: Prediction) -> dict[str, Any]:
    """The prediction in the API's form."""
    found: dict[str, Any] = {
        "head": {"name": prediction.head_name, "version": prediction.head_version},
        "classes": prediction.classes,
    }
    ood = {}
    for name, values in prediction.values.items():
        if name in ("ood_scores", "is_ood"):
            ood[name.removeprefix("ood_")] = _plain(values)
        else:
            found[name] = _plain(values)
    found |= prediction.extras
    return found | ({"ood": ood | {"threshold": prediction.ood_threshold}} if ood else {})


def _plain(values: NDArray[Any]) -> Any:
    """As JSON has it; floats through str, in as few digits as tell float32 apart."""
    if values.dtype.kind != "f":
        return values.tolist()
    return [float(str(one)) for one in values] if values.ndim == 1 else list(map(_plain, values))


def _lines(prediction: Prediction, arguments: Namespace) -> Iterator[list[str]]:
    """The cells of each row, as tabs divide them."""
    of_row = [_main_cells(prediction, arguments)]
    if "sets" in prediction.extras:
        of_row.append([",".join(one)] for one in prediction.sets)
    if "is_ood" in prediction.values:
        scored = zip(prediction.ood_scores, prediction.is_ood, strict=True)
        of_row.append(["OOD" if is_ood else "ID", f"{score:.4f}"] for score, is_ood in scored)
    for cells in zip(*of_row, strict=True):
        yield list(chain.from_iterable(cells))


def _main_cells(prediction: Prediction, arguments: Namespace) -> Iterator[list[str]]:
    """Label and values of each row; `-` where the head abstained."""
    if "embeddings" in prediction.values:
        yield from ([f"{one:.6g}" for one in row] for row in prediction.embeddings)
        return
    labels = [_ABSTAINED if label is None else str(label) for label in prediction.labels]
    if "logits" in prediction.values:
        for label, row in zip(labels, prediction.logits, strict=True):
            yield [label, *(f"{one:.6g}" for one in row)]
    elif "probabilities" in prediction.values:
        for label, best in zip(labels, prediction.top(arguments.top_k or 1), strict=True):
            names = [label if label == _ABSTAINED else best[0][0], *(name for name, _ in best[1:])]
            shares = [f"{share:.4f}" for _, share in best]
            yield list(chain.from_iterable(zip(names, shares, strict=True)))
    else:
        yield from ([label] for label in labels)
