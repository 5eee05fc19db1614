"""Home of the `nmtune` command's grammar: commands, arguments, help."""

import argparse
from collections.abc import Callable
from typing import Any, TypeAlias

from nmtune_client._cli import drift, exports, keys, predictions, registry, report, tuning
from nmtune_client._http.server import DEFAULT_URL, URL_VARIABLE
from nmtune_client._show import plain as _text
from nmtune_client._sync.client import Client
from nmtune_client._version import __version__

_EPILOG = f"""\
The server is --url, or else {URL_VARIABLE} in the environment, or else {DEFAULT_URL}.
Data goes to stdout, progress and errors go to stderr.
Exit codes: 0 done, 1 the job failed or the server refused, 2 wrong usage or input,
3 the server cannot be reached, 4 --timeout ran out while the job goes on, 130 interrupted.
"""

_FILE = "dataset file: .parquet, .csv, .json, .jsonl (also .gz, .zst), .safetensors or .npz"

Command: TypeAlias = Callable[[Client, argparse.Namespace], None]
_Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

# An action's options are also those of the bare noun, whose default must then stand.
_NO_DEFAULT: dict[str, Any] = {"default": argparse.SUPPRESS}


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; it sets `command` to the function to call."""
    # SUPPRESS: an option given before the command must not be undone by its default after it
    shared = _shared(url=argparse.SUPPRESS, json=argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog="nmtune",
        description="Tune heads on frozen embeddings with an NMTune server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_shared(url=None, json=False)],
    )
    parser.add_argument("--version", action="version", version=f"nmtune-client {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_tune(commands, shared)
    _add_jobs(commands, shared)
    found = _add(commands, shared, "report", report.show_report, "show what a job found")
    found.add_argument("job", metavar="JOB", help="id of a job that succeeded")
    found.add_argument("--full", action="store_true", help="all of it, not 25 lines")
    found.add_argument(
        "--suspects",
        metavar="FILE.csv",
        help="write the rows whose label is suspected, or - for standard output: file_row, id, "
        "text, given, suggested, score",
    )
    _add_predict(commands, shared)
    _add_heads(commands, shared)
    _add_datasets(commands, shared)
    _add_keys(commands, shared)
    verify = _add(commands, shared, "verify", exports.verify, "check an exported bundle, offline")
    verify.add_argument("bundle", metavar="BUNDLE.zip", help="what `nmtune heads export` wrote")
    verify.add_argument(
        "--no-onnx", dest="onnx", action="store_false", help="leave model.onnx alone"
    )
    return parser


def _shared(*, url: str | None, json: str | bool) -> argparse.ArgumentParser:
    """The options that may stand before and behind a command, with their defaults."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--url", metavar="URL", default=url, help="address of the server")
    parser.add_argument("--json", action="store_true", default=json, help="print JSON for machines")
    return parser


def _add(
    commands: _Subparsers,
    shared: argparse.ArgumentParser,
    name: str,
    command: Command,
    text: str,
) -> argparse.ArgumentParser:
    description = f"{text[0].upper()}{text[1:]}."
    parser = commands.add_parser(name, help=text, description=description, parents=[shared])
    parser.set_defaults(command=command)
    return parser


def _add_tune(commands: _Subparsers, shared: argparse.ArgumentParser) -> None:
    tune = _add(
        commands, shared, "tune", tuning.tune, "upload a dataset, tune a head, show the result"
    )
    tune.add_argument("source", metavar="FILE", help=f"{_FILE}, or the id of a stored one")
    tune.add_argument("--name", help="name of the head and of the dataset (the file's)")
    _add_keep(tune)
    _add_reading(tune)
    _add_provider(tune)
    tune.add_argument("--method", metavar="M", help="auto (default), nmtune, mlp or linear_probe")
    tune.add_argument("--preset", metavar="P", help="paper (default) or reference")
    tune.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting over the preset, e.g. epochs=10; may be repeated",
    )
    tune.add_argument(
        "--analyse",
        metavar="WHAT",
        action="append",
        choices=("ablation", "learning_curve"),
        help="look into the ablation of NMTune's terms, or the learning_curve; may be repeated",
    )
    tune.add_argument("--alias", metavar="A", help="alias to set on the new version, e.g. prod")
    tune.add_argument(
        "--alias-always",
        action="store_true",
        help="move the alias although the verdict advises against the head",
    )
    _add_notes(tune)
    tune.add_argument("--queue", metavar="Q", help="cpu or gpu: which workers train it")
    tune.add_argument("--priority", metavar="N", type=int, help="-100 to 100, higher goes first")
    tune.add_argument(
        "--plan", action="store_true", help="upload, say what the job would do, and train nothing"
    )
    tune.add_argument(
        "--no-wait", dest="wait", action="store_false", help="submit, print the job's id and leave"
    )
    _add_timeout(tune)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """The options that say what a table's columns mean, and which splits to make."""
    for name, text in (
        ("embedding", "column of lists, or prefix of numbered columns with *, such as 'dim_*'"),
        ("text", "column of texts, which a job's provider embeds (text)"),
        ("label", "column of the labels (label)"),
        ("split", "column of the splits (split)"),
        ("domain", "column of the domains (domain)"),
        ("group", "column of rows that belong together (group)"),
        ("id", "column of what you call the rows, which reports show (id)"),
    ):
        parser.add_argument(f"--{name}", metavar="COLUMN", help=text)
    parser.add_argument("--ood-domains", metavar="A,B", help="domains to hold out, or none")
    parser.add_argument(
        "--test-fraction", metavar="F", type=_positive(float), help="share to become test (0.2)"
    )
    parser.add_argument("--split-seed", metavar="N", type=int, help="seed of the splits made (0)")
    parser.add_argument(
        "--merge-similar",
        action="store_const",
        const=True,
        help="make one of classes, and of domains, that differ in case, spaces or Unicode form",
    )


def _add_keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep", metavar="TIME", type=_time, help="when the dataset expires, such as 12h or 7d"
    )


def _add_provider(parser: argparse.ArgumentParser) -> None:
    """The options of what embeds texts."""
    parser.add_argument(
        "--provider", metavar="P", help="what embeds texts, e.g. local-minilm, openai"
    )
    parser.add_argument("--model", metavar="M", help="the provider's embedding model")
    parser.add_argument("--base-url", metavar="URL", help="where the provider is, if not as usual")
    parser.add_argument("--dimensions", metavar="N", type=_positive(int), help="width to ask for")
    parser.add_argument(
        "--price", metavar="X", type=_positive(float), help="of a million tokens, to count the cost"
    )


def _add_notes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--description", metavar="TEXT", help="noted of the version, for people")
    parser.add_argument(
        "--tag", metavar="NAME=VALUE", action="append", default=[], help="likewise; may be repeated"
    )


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout", metavar="S", type=_positive(float), help="seconds to wait for the job"
    )


def _add_jobs(commands: _Subparsers, shared: argparse.ArgumentParser) -> None:
    jobs = _add(commands, shared, "jobs", tuning.list_jobs, "list, show, wait for or cancel jobs")
    actions = _add_actions(jobs)
    listing = _add(actions, shared, "list", tuning.list_jobs, "list jobs, newest first (default)")
    for parser, default in ((jobs, {"default": None}), (listing, _NO_DEFAULT)):
        parser.add_argument("--status", metavar="S", help="only jobs of this status", **default)
    _add_limit(jobs, listing)
    for name, command, text in (
        ("show", tuning.show_job, "show a job"),
        ("wait", tuning.wait_for_job, "watch a job to its end, then show what it found"),
        ("cancel", tuning.cancel_job, "ask that a job be cancelled"),
        ("events", tuning.show_events, "show a job's history"),
    ):
        action = _add(actions, shared, name, command, text)
        action.add_argument("job", metavar="JOB", help="id of the job")
        if name == "wait":
            _add_timeout(action)
        if name == "events":
            action.add_argument(
                "--follow", action="store_true", help="go on as events come, to the job's end"
            )
    output = _add(actions, shared, "output", predictions.save_output, "fetch what a job predicted")
    output.add_argument("job", metavar="JOB", help="id of a prediction job that succeeded")
    output.add_argument("file", metavar="FILE", nargs="?", help="where to (NAME-JOB.parquet)")


def _add_predict(commands: _Subparsers, shared: argparse.ArgumentParser) -> None:
    predict = _add(commands, shared, "predict", registry.predict, "classify embeddings with a head")
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
    predict.add_argument(
        "--top-k", metavar="K", type=_positive(int), help="classes shown a row (1)"
    )
    predictions.add_options(predict, positive=_positive)


def _add_heads(commands: _Subparsers, shared: argparse.ArgumentParser) -> None:
    heads = _add(commands, shared, "heads", registry.list_heads, "list or show heads, set aliases")
    actions = _add_actions(heads)
    listing = _add(actions, shared, "list", registry.list_heads, "list heads (default)")
    _add_limit(heads, listing)
    show = _add(actions, shared, "show", registry.show_head, "show the versions of a head")
    show.add_argument("head", metavar="HEAD", help="its name; or one version, pets@3 or pets@prod")
    edit = _add(actions, shared, "edit", registry.edit, "note a description or tags of a version")
    edit.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    _add_notes(edit)
    edit.add_argument(
        "--untag", metavar="NAME", action="append", default=[], help="a tag to remove; repeatable"
    )
    alias = _add(actions, shared, "alias", registry.set_alias, "make or move an alias")
    alias.add_argument("head", metavar="HEAD", help="name of the head")
    alias.add_argument("alias", metavar="ALIAS", help="e.g. prod")
    alias.add_argument("version", metavar="VERSION", type=_positive(int), help="e.g. 3")
    back = _add(
        actions, shared, "rollback", exports.roll_back, "point an alias at what it named before"
    )
    back.add_argument("head", metavar="HEAD", help="name of the head")
    back.add_argument("alias", metavar="ALIAS", help="e.g. prod")
    compare = _add(actions, shared, "compare", exports.compare, "show what two versions differ in")
    compare.add_argument("head", metavar="HEAD", help="name of the head")
    compare.add_argument("before", metavar="FROM", help="a version or an alias, e.g. 2")
    compare.add_argument("after", metavar="TO", help="a version or an alias, e.g. prod")
    export = _add(actions, shared, "export", exports.export, "write a version to a file")
    export.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    export.add_argument(
        "--format",
        choices=("bundle", "onnx", "safetensors"),
        default="bundle",
        help="bundle (default): a zip of all, with model card and numpy runner",
    )
    export.add_argument("--output", "-o", metavar="FILE", help="where to (HEAD-VERSION.zip)")
    delete = _add(actions, shared, "delete", exports.delete, "delete a version, row and bytes")
    delete.add_argument("head", metavar="HEAD", help="pets@3; or pets, with --all")
    delete.add_argument("--all", action="store_true", help="all versions of the head")
    delete.add_argument(
        "--force", action="store_true", help="although aliases point at it; they go too"
    )
    _add_drift(actions, shared)


def _add_drift(actions: _Subparsers, shared: argparse.ArgumentParser) -> None:
    text = "compare rows predicted lately with the training rows"
    drifted = _add(actions, shared, "drift", drift.show_drift, text)
    drifted.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    which = drifted.add_mutually_exclusive_group()
    which.add_argument("--version", type=_positive(int), help="its version (the latest)")
    which.add_argument("--alias", help="the version that this alias names")
    drifted.add_argument("--hours", type=_positive(int), help="how far back (24)")


def _add_datasets(commands: _Subparsers, shared: argparse.ArgumentParser) -> None:
    datasets = _add(
        commands,
        shared,
        "datasets",
        registry.list_datasets,
        "list, upload or delete datasets",
    )
    actions = _add_actions(datasets)
    listing = _add(
        actions, shared, "list", registry.list_datasets, "list datasets, newest first (default)"
    )
    _add_limit(datasets, listing)
    upload = _add(actions, shared, "upload", registry.upload_dataset, "store a dataset file")
    upload.add_argument("source", metavar="FILE", help=_FILE)
    upload.add_argument("--name", help="name of the dataset (the file's)")
    _add_keep(upload)
    _add_reading(upload)
    keep = _add(actions, shared, "keep", registry.keep_dataset, "say how long a dataset is kept")
    keep.add_argument("dataset", metavar="DATASET", help="id of the dataset")
    keep.add_argument("time", metavar="TIME", help="from now, such as 12h or 7d; or forever")
    for name, command, text in (
        ("show", registry.show_dataset, "show a dataset and its splits"),
        ("delete", registry.delete_dataset, "delete a dataset, rows and bytes"),
    ):
        action = _add(actions, shared, name, command, text)
        action.add_argument("dataset", metavar="DATASET", help="id of the dataset")


def _add_keys(commands: _Subparsers, shared: argparse.ArgumentParser) -> None:
    parser = _add(commands, shared, "keys", keys.list_keys, "keys for providers that embed texts")
    actions = _add_actions(parser)
    _add(actions, shared, "list", keys.list_keys, "list whom keys are stored for (default)")
    for name, command, text in (
        ("set", keys.set_key, "store a key, which is asked for or read from standard input"),
        ("delete", keys.delete_key, "forget a key"),
    ):
        action = _add(actions, shared, name, command, text)
        action.add_argument(
            "origin", metavar="PROVIDER", help="its name, such as openai, or https://host"
        )
        if name == "set":
            action.add_argument("key", nargs="*", help=argparse.SUPPRESS)  # to say why not
            action.add_argument("--env", metavar="VAR", help="the variable that holds the key")


def _add_actions(parser: argparse.ArgumentParser) -> _Subparsers:
    return parser.add_subparsers(metavar="[ACTION]", required=False)


def _add_limit(noun: argparse.ArgumentParser, listing: argparse.ArgumentParser) -> None:
    for parser, default in ((noun, {"default": 20}), (listing, _NO_DEFAULT)):
        parser.add_argument(
            "--limit", metavar="N", type=_positive(int), help="at most N (20)", **default
        )


def _time(text: str) -> int:
    try:
        return _text.seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    words, least = ("whole number", "at least 1") if kind is int else ("number", "above 0")

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a {words}, got {text!r}") from None
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be {least}, got {text}")
        return value

    return read
