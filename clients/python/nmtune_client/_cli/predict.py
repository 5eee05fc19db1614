"""`nmtune predict`: the head's answers for rows or texts, a line each."""

import argparse
from argparse import Namespace

from nmtune_client import Client
from nmtune_client._cli import inputs
from nmtune_client._cli.options import Subparsers, declare, positive
from nmtune_client._cli.output import print_json, say
from nmtune_client._cli.predict_file import (
    add_options,
    check_not_of_files,
    check_order,
    predict_file,
)


def add_predict(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
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
    add_options(predict)


def predict_rows(client: Client, arguments: Namespace) -> None:
    """`nmtune predict`: for each row a line with tabs: row, then class and probability."""
    if arguments.of_head is not None or arguments.output is not None:
        predict_file(client, arguments)
        return
    check_order(arguments)
    check_not_of_files(arguments)
    if arguments.text is not None:
        prediction = client.predict(arguments.head, texts=arguments.text)
    else:
        try:
            rows = inputs.embeddings(arguments.source)
        except inputs.TableError as error:
            raise ValueError(
                f"{error}: say where its predictions go, as in "
                f"nmtune predict {arguments.head} {arguments.source} --output OUT.parquet"
            ) from error
        prediction = client.predict(arguments.head, rows)
    if arguments.json:
        print_json(
            {
                "head": {"name": prediction.head_name, "version": prediction.head_version},
                "classes": prediction.classes,
                "labels": prediction.labels.tolist(),
                # through str: as few digits as tell float32 apart
                "probabilities": [[float(str(p)) for p in row] for row in prediction.probabilities],
            }
        )
        return
    say(f"{prediction.head_name}@{prediction.head_version}: {len(prediction)} rows")
    for row, best in enumerate(prediction.top(arguments.top_k or 1)):
        cells = [f"{label}\t{probability:.4f}" for label, probability in best]
        print("\t".join([str(row), *cells]))
