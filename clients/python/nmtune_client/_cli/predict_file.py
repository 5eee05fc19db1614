"""`nmtune predict HEAD FILE --output OUT`, and `nmtune jobs output`: whole files."""

import argparse
from argparse import Namespace
from pathlib import Path

from nmtune_client import Client, JobData, WaitTimeout
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.options import positive
from nmtune_client._cli.shared.output import print_json, say
from nmtune_client._cli.shares import class_shares
from nmtune_client._http.download import check_place
from nmtune_client._predict.whole_file import FORMATS, format_of, target
from nmtune_client._show import plain

_FILES = (".npy", ".npz", ".parquet", ".csv", ".tsv", ".jsonl", ".json", ".txt", ".gz", ".zst")


_OF_FILES = (*("embedding_column", "text_column", "id_column", "queue", "priority", "timeout"),)
"""Options that only the job for a whole file heeds."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `nmtune predict` that are of whole files."""
    of = parser.add_argument_group(
        "a whole file", "nmtune predict HEAD FILE --output OUT predicts it as a job"
    )
    of.add_argument(
        "--head", dest="of_head", metavar="HEAD", help="the head, if FILE is the only argument"
    )
    of.add_argument("--output", "-o", metavar="OUT", help="OUT.parquet, OUT.csv or OUT.jsonl")
    for name in ("embedding", "text", "id"):
        of.add_argument(f"--{name}-column", metavar="COLUMN", help=f"column of the {name} ({name})")
    of.add_argument("--queue", metavar="Q", help="cpu or gpu: which workers do it")
    of.add_argument("--priority", metavar="N", type=int, help="-100 to 100, higher goes first")
    of.add_argument("--timeout", metavar="S", type=positive(float), help="seconds to wait")


def check_order(arguments: Namespace) -> None:
    """ValueError, which names the right call, unless there are a head and something to predict."""
    head, source = arguments.head, arguments.source
    if head is None:
        raise ValueError("say which head and what to predict: nmtune predict HEAD FILE")
    if _is_file(head):
        if source is None and arguments.text is None:
            raise ValueError(f"say which head: nmtune predict HEAD {head}")
        if not _is_file(source):
            what = "--text '...'" if source is None else head
            name = "HEAD" if source is None else source
            raise ValueError(
                f"{head} is a file, and the head comes first: nmtune predict {name} {what}"
            )
    if (arguments.text is None) == (source is None):
        raise ValueError(f"pass either FILE or --text: nmtune predict {head} FILE")


def check_not_of_files(arguments: Namespace) -> None:
    """ValueError that names the option, if one of whole files was given without --output."""
    for name in _OF_FILES:
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            rows = f"{arguments.head} {arguments.source or 'FILE'} {option}"
            raise ValueError(
                f"{option} is for a whole file: nmtune predict {rows} ... --output OUT.parquet"
            )


def _is_file(argument: str | None) -> bool:
    """Whether it is one, or can only be the name of one: heads have neither folders nor colons."""
    if argument is None:
        return False
    path = argument.rpartition(":")[0] if ".npz:" in argument else argument
    return Path(path).is_file() or "/" in argument or argument.endswith(_FILES)


def predict_file(client: Client, arguments: Namespace) -> None:
    """`nmtune predict HEAD FILE --output OUT`: prints the path of the output"""
    if arguments.of_head is not None and arguments.source is None:
        arguments.head, arguments.source = arguments.of_head, arguments.head
    elif arguments.of_head is not None:
        raise ValueError("name the head once: nmtune predict HEAD FILE --output OUT")
    if arguments.text is not None:
        raise ValueError("--output predicts a whole FILE: leave out --text")
    check_order(arguments)
    if arguments.output is None:
        raise ValueError("--head goes with --output; else write: nmtune predict HEAD FILE")
    path = Path(arguments.source)
    format_of(arguments.output, None)  # before anything is sent
    check_place(Path(arguments.output))
    inputs.check_file(path)
    say(f"Uploading {path}, {plain.size(path.stat().st_size)} ...")
    try:
        to = client.predict_file(
            path,
            head=arguments.head,
            to=arguments.output,
            output=arguments.values,
            top_k=arguments.top_k,
            abstain_below=arguments.abstain_below,
            conformal_level=arguments.conformal_level,
            ood=arguments.ood,
            class_shares=class_shares(arguments.class_share),
            embedding=arguments.embedding_column,
            text=arguments.text_column,
            id=arguments.id_column,
            queue=arguments.queue,
            priority=arguments.priority,
            timeout=arguments.timeout,
            progress=True,
        )
    except WaitTimeout as error:
        command = output_command(error.job, arguments.output)
        say(f"Once it has ended, fetch its output with: {command}")
        raise
    _show_written(to, arguments)


def save_output(client: Client, arguments: Namespace) -> None:
    """`nmtune jobs output`: prints the path of the file"""
    if arguments.file is not None:
        check_place(Path(arguments.file))  # before anything is asked
    job = client.jobs.get(arguments.job)
    if job.kind == "prediction":
        _check_ending(target(job.data, None), arguments.file)
    _show_written(job.output(arguments.file), arguments)


def output_command(job: JobData, to: str | None = None) -> str:
    """The command that fetches the output of a prediction's job."""
    return f"nmtune jobs output {job.id} {to or f'FILE{target(job, None).suffix}'}"


def _check_ending(usual: Path, file: str | None) -> None:
    """ValueError for a name that says another format than the job wrote."""
    ending = Path(file or usual).suffix.lower()
    if ending in FORMATS and FORMATS[ending] != FORMATS.get(usual.suffix):
        raise ValueError(
            f"{file} says {FORMATS[ending]}, and the job wrote {usual.suffix[1:]}: let the file's "
            f"name end with {usual.suffix}"
        )


def _show_written(to: Path, arguments: Namespace) -> None:
    say(f"Wrote {plain.size(to.stat().st_size)}.")
    if arguments.json:
        print_json({"path": str(to), "size_bytes": to.stat().st_size})
    else:
        print(to)
