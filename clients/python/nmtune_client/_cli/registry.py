"""Home of the commands about what the server keeps: `heads`, `datasets`, and `predict`."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from nmtune_client._cli import exports, inputs, predictions
from nmtune_client._cli.output import print_json, print_list, say
from nmtune_client._cli.words import for_command_line
from nmtune_client._datasets.files import names_in
from nmtune_client._datasets.rows import DATASET_HEADER, dataset_row
from nmtune_client._datasets.values import Dataset
from nmtune_client._heads.rows import HEAD_HEADER, encoder_of, figure, head_row, notes_of
from nmtune_client._show import plain as _text
from nmtune_client._sync.client import Client


def predict(client: Client, arguments: Namespace) -> None:
    """`nmtune predict`: for each row a line with tabs: row, then class and probability."""
    if arguments.of_head is not None or arguments.output is not None:
        predictions.predict_file(client, arguments)
        return
    predictions.check_order(arguments)
    predictions.check_not_of_files(arguments)
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


def list_heads(client: Client, arguments: Namespace) -> None:
    """`nmtune heads`"""
    print_list(
        client.heads.list(limit=arguments.limit),
        as_json=(lambda head: head.raw) if arguments.json else None,
        header=HEAD_HEADER,
        row=head_row,
        none="No heads yet; make one with: nmtune tune FILE --name NAME",
    )


def show_head(client: Client, arguments: Namespace) -> None:
    """`nmtune heads show`: its versions, or of `pets@3` or `pets@prod` that one"""
    name, named = exports.name_and_version(arguments.head)
    if named is None:
        head = client.heads.get(name)
        raw, versions = head.raw, head.versions
    else:
        version = client.heads.version(name, exports.version_number(client, name, named))
        raw, versions = version.raw, (version,)
    if arguments.json:
        print_json(raw)
        return
    header = ["version", "method", "ID accuracy", "mean OOD", "encoder", "columns", "classes"]
    rows = [[*header, "aliases", "job", "created"]]
    rows += [
        [
            str(version),
            version.method or "-",
            figure(version.accuracy),
            figure(version.mean_ood_accuracy),
            encoder_of(version),
            str(version.n_columns or "-"),
            str(len(version.classes)),
            ", ".join(version.aliases) or "-",
            version.job_id or "-",
            _text.moment(version.created_at),
        ]
        for version in versions
    ]
    print(_text.columns(rows))
    for version in versions:
        tags = " ".join(f"{name}={value}" for name, value in version.tags.items())
        if noted := "  ".join(part for part in (tags, version.description) if part):
            print(f"\n{version}  {noted}")


def edit(client: Client, arguments: Namespace) -> None:
    """`nmtune heads edit`: notes a description and tags of a version"""
    name, named = exports.name_and_version(arguments.head)
    number = exports.version_number(client, name, named or "latest")
    tags = None
    if arguments.tag or arguments.untag:
        known = dict(client.heads.version(name, number).tags)
        tags = known | inputs.tags(arguments.tag)
        for one in arguments.untag:
            tags.pop(one, None)
    if tags is None and arguments.description is None:
        raise ValueError("say what to note: --description TEXT, --tag NAME=VALUE, --untag NAME")
    version = client.heads.update(name, number, description=arguments.description, tags=tags)
    if arguments.json:
        print_json(version.raw)
    else:
        print(f"{version}  {notes_of(version) or '(no notes)'}")


def set_alias(client: Client, arguments: Namespace) -> None:
    """`nmtune heads alias`"""
    exports.name_alone(arguments.head, usage="alias HEAD ALIAS VERSION")
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
        header=DATASET_HEADER,
        row=dataset_row,
        none="No datasets.",
    )


def show_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets show`"""
    _show(client.datasets.get(arguments.dataset), arguments)


def upload_dataset(client: Client, arguments: Namespace) -> None:
    """`nmtune datasets upload`"""
    _show(upload(client, arguments), arguments)


def upload(client: Client, arguments: Namespace) -> Dataset:
    """Store a file, saying before that it may take a while, and then what the server warns of."""
    path = Path(arguments.source)
    inputs.check_file(path)
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
        say(f"Warning: {for_command_line(str(text), arguments)}")
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
