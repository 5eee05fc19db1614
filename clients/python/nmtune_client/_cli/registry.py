"""Home of the commands about what the server keeps: `heads`, `datasets`, and `predict`."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from nmtune_client import _text
from nmtune_client._cli import inputs, predictions
from nmtune_client._cli.output import print_json, print_list, say
from nmtune_client._client import Client
from nmtune_client._files import names_in
from nmtune_client._types import Dataset, Head


def predict(client: Client, arguments: Namespace) -> None:
    """`nmtune predict`: for each row a line with tabs: row, then class and probability."""
    if arguments.of_head is not None or arguments.output is not None:
        predictions.predict_file(client, arguments)
        return
    if arguments.head is None:
        raise ValueError("say which head: nmtune predict HEAD FILE")
    if (arguments.text is None) == (arguments.source is None):
        raise ValueError("pass either FILE or --text")
    if arguments.text is not None:
        prediction = client.predict(arguments.head, texts=arguments.text)
    else:
        prediction = client.predict(arguments.head, inputs.embeddings(arguments.source))
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


def list_heads(client: Client, arguments: Namespace) -> None:
    """`nmtune heads`"""
    print_list(
        client.heads.list(limit=arguments.limit),
        as_json=(lambda head: head.raw) if arguments.json else None,
        header=("head", "latest", "aliases", "created"),
        row=_head_row,
        none="No heads yet; make one with: nmtune tune FILE --name NAME",
    )


def _head_row(head: Head) -> list[str]:
    aliases = ", ".join(f"{alias} -> {version}" for alias, version in head.aliases.items())
    return [head.name, str(head.latest_version), aliases or "-", _text.moment(head.created_at)]


def show_head(client: Client, arguments: Namespace) -> None:
    """`nmtune heads show`: its versions"""
    head = client.heads.get(arguments.head)
    if arguments.json:
        print_json(head.raw)
        return
    rows = [["version", "method", "columns", "classes", "aliases", "job", "created"]]
    rows += [
        [
            str(version),
            version.method or "-",
            str(version.n_columns or "-"),
            str(len(version.classes)),
            ", ".join(version.aliases) or "-",
            version.job_id or "-",
            _text.moment(version.created_at),
        ]
        for version in head.versions
    ]
    print(_text.columns(rows))


def set_alias(client: Client, arguments: Namespace) -> None:
    """`nmtune heads alias`"""
    client.heads.set_alias(arguments.head, arguments.alias, arguments.version)
    if arguments.json:
        print_json(client.heads.get(arguments.head).raw)
    else:
        print(f"{arguments.head}@{arguments.alias} -> {arguments.head}@{arguments.version}")


def list_datasets(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets`"""
    print_list(
        client.datasets.list(limit=arguments.limit),
        as_json=(lambda dataset: dataset.raw) if arguments.json else None,
        header=("dataset", "name", "rows", "columns", "classes", "size", "created"),
        row=_dataset_row,
        none="No datasets.",
    )


def _dataset_row(dataset: Dataset) -> list[str]:
    return [
        dataset.id,
        _text.shorten(dataset.name, 30),
        str(dataset.n_rows),
        str(dataset.n_columns),
        str(len(dataset.classes)),
        _text.size(dataset.size_bytes),
        _text.moment(dataset.created_at),
    ]


def show_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets show`"""
    _show(client.datasets.get(arguments.dataset), arguments)


def upload_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets upload`"""
    _show(upload(client, arguments), arguments)


def upload(client: Client, arguments: Namespace) -> Dataset:
    """Store a file, saying before that it may take a while, and then what the server warns of."""
    path = Path(arguments.source)
    if path.is_file():
        say(f"Uploading {path}, {_text.size(path.stat().st_size)} ...")
    domains = arguments.ood_domains
    if domains is not None:
        domains = [] if domains == "none" else names_in(domains)
    dataset = client.datasets.upload(
        path,
        name=arguments.name,
        embedding=arguments.embedding,
        text=arguments.text,
        label=arguments.label,
        split=arguments.split,
        domain=arguments.domain,
        group=arguments.group,
        id=arguments.id,
        ood_domains=domains,
        test_fraction=arguments.test_fraction,
        split_seed=arguments.split_seed,
        merge_similar=bool(arguments.merge_similar),
        keep_seconds=arguments.keep,
        progress=True,
    )
    width = f"{dataset.n_columns} columns" if dataset.n_columns else "texts"
    say(f"Uploaded {dataset.id}: {dataset.n_rows} rows, {width}, {len(dataset.classes)} classes.")
    for warning in dataset.warnings:
        text = warning.get("message", warning) if isinstance(warning, Mapping) else warning
        say(f"Warning: {text}")
    return dataset


def _show(dataset: Dataset, arguments: Namespace) -> None:
    if arguments.json:
        print_json(dataset.raw)
        return
    facts = [
        ["dataset", dataset.id],
        ["name", dataset.name],
        ["rows", str(dataset.n_rows)],
        ["columns", str(dataset.n_columns)],
        ["classes", str(len(dataset.classes))],
        ["size", _text.size(dataset.size_bytes)],
        ["created", _text.moment(dataset.created_at)],
    ]
    if dataset.expires_at is not None:
        facts.append(["expires", _text.moment(dataset.expires_at)])
    splits = [["split", "rows"], *([split.name, str(split.n_rows)] for split in dataset.splits)]
    print(f"{_text.columns(facts)}\n\n{_text.columns(splits, right=(1,))}")


def keep_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets keep`"""
    seconds = None if arguments.time == "forever" else _text.seconds_of(arguments.time)
    _show(client.datasets.keep(arguments.dataset, seconds), arguments)


def delete_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets delete`"""
    client.datasets.delete(arguments.dataset)
    if arguments.json:
        print_json({"id": arguments.dataset, "deleted": True})
    else:
        say(f"Deleted {arguments.dataset}.")
