"""Home of the command about whole files: `predict FILE --head HEAD --output OUT`."""

import argparse
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from nmtune_client import _text
from nmtune_client._cli.output import print_json, say
from nmtune_client._client import Client
from nmtune_client._prediction_job import format_of


def add_options(
    parser: argparse.ArgumentParser, *, positive: Callable[[type[float]], Callable[[str], float]]
) -> None:
    """The options of `nmtune predict` that are of whole files."""
    of = parser.add_argument_group(
        "a whole file", "nmtune predict FILE --head HEAD --output OUT predicts it as a job"
    )
    of.add_argument("--head", dest="of_head", metavar="HEAD", help="pets, pets@3 or pets@prod")
    of.add_argument("--output", "-o", metavar="OUT", help="OUT.parquet, OUT.csv or OUT.jsonl")
    of.add_argument(
        "--values",
        choices=("probabilities", "logits", "labels", "embeddings"),
        help="what to write of each row beside its label (probabilities)",
    )
    of.add_argument("--abstain-below", metavar="P", type=float, help="no label below this")
    of.add_argument("--conformal-level", metavar="L", type=float, help="sets of classes, e.g. 0.9")
    of.add_argument("--ood", action="store_true", default=None, help="is a row unlike training's?")
    for name in ("embedding", "text", "id"):
        of.add_argument(f"--{name}-column", metavar="COLUMN", help=f"column of the {name} ({name})")
    of.add_argument("--queue", metavar="Q", help="cpu or gpu: which workers do it")
    of.add_argument("--priority", metavar="N", type=int, help="-100 to 100, higher goes first")
    of.add_argument("--timeout", metavar="S", type=positive(float), help="seconds to wait")


def predict_file(client: Client, arguments: Namespace) -> None:
    """`nmtune predict FILE --head HEAD --output OUT`: prints the path of the output"""
    if arguments.of_head is None or arguments.output is None:
        raise ValueError("a whole file needs both --head and --output")
    if arguments.head is None or arguments.source is not None or arguments.text is not None:
        raise ValueError("with --head and --output pass one FILE, and nothing else to predict")
    path = Path(arguments.head)
    format_of(arguments.output, None)  # before anything is sent
    if path.is_file():
        say(f"Uploading {path}, {_text.size(path.stat().st_size)} ...")
    to = client.predict_file(
        path,
        head=arguments.of_head,
        to=arguments.output,
        output=arguments.values,
        top_k=arguments.top_k,
        abstain_below=arguments.abstain_below,
        conformal_level=arguments.conformal_level,
        ood=arguments.ood,
        embedding=arguments.embedding_column,
        text=arguments.text_column,
        id=arguments.id_column,
        queue=arguments.queue,
        priority=arguments.priority,
        timeout=arguments.timeout,
        progress=True,
    )
    say(f"Wrote {_text.size(to.stat().st_size)}.")
    if arguments.json:
        print_json({"path": str(to), "size_bytes": to.stat().st_size})
    else:
        print(to)
