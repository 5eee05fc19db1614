"""`nmtune heads`: list and show heads, and change versions and aliases."""

import argparse
from argparse import Namespace

from nmtune_client import Client
from nmtune_client._cli.adapt import add_adapt
from nmtune_client._cli.bundles import export_version
from nmtune_client._cli.drift import show_drift
from nmtune_client._cli.migrate import add_migrate
from nmtune_client._cli.select import add_select
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.head_names import name_alone, name_and_version, version_number
from nmtune_client._cli.shared.options import (
    Subparsers,
    add_actions,
    add_limit,
    add_notes,
    declare,
    positive,
)
from nmtune_client._cli.shared.output import print_json, print_list, say
from nmtune_client._cli.shares import add_shares, class_shares
from nmtune_client._heads.rows import HEAD_HEADER, encoder_of, figure, head_row, notes_of
from nmtune_client._show import plain


def add_heads(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune heads` and its actions."""
    heads = declare(commands, shared, "heads", list_heads, "list or show heads, set aliases")
    actions = add_actions(heads)
    listing = declare(actions, shared, "list", list_heads, "list heads (default)")
    add_limit(heads, listing)
    show = declare(actions, shared, "show", show_head, "show the versions of a head")
    show.add_argument("head", metavar="HEAD", help="its name; or one version, pets@3 or pets@prod")
    edit = declare(actions, shared, "edit", edit_version, "note a description or tags of a version")
    edit.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    add_notes(edit)
    edit.add_argument(
        "--untag", metavar="NAME", action="append", default=[], help="a tag to remove; repeatable"
    )
    alias = declare(actions, shared, "alias", set_alias, "make or move an alias")
    alias.add_argument("head", metavar="HEAD", help="name of the head")
    alias.add_argument("alias", metavar="ALIAS", help="e.g. prod")
    alias.add_argument("version", metavar="VERSION", type=positive(int), help="e.g. 3")
    add_shares(alias)
    alias.add_argument(
        "--no-class-shares", action="store_true", help="remove the class shares that it has"
    )
    add_adapt(actions, shared)
    add_migrate(actions, shared)
    add_select(actions, shared)
    back = declare(
        actions, shared, "rollback", roll_back_alias, "point an alias at what it named before"
    )
    back.add_argument("head", metavar="HEAD", help="name of the head")
    back.add_argument("alias", metavar="ALIAS", help="e.g. prod")
    compare = declare(
        actions, shared, "compare", compare_versions, "show what two versions differ in"
    )
    compare.add_argument("head", metavar="HEAD", help="name of the head")
    compare.add_argument("before", metavar="FROM", help="a version or an alias, e.g. 2")
    compare.add_argument("after", metavar="TO", help="a version or an alias, e.g. prod")
    export = declare(actions, shared, "export", export_version, "write a version to a file")
    export.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    export.add_argument(
        "--format",
        choices=("bundle", "onnx", "safetensors", "sklearn", "mlflow", "hf", "peft", "encoder"),
        default="bundle",
        help="bundle (default): a zip of head, ONNX, model card and numpy runner; sklearn: a skops "
        "file; mlflow, hf: a folder for MLflow or a model hub; peft, encoder: the adapter of an "
        "adapted encoder, or that encoder merged",
    )
    export.add_argument(
        "--output", "-o", metavar="PATH", help="file or new folder to write (HEAD-VERSION.zip)"
    )
    delete = declare(actions, shared, "delete", delete_versions, "delete a version")
    delete.add_argument("head", metavar="HEAD", help="pets@3; or pets, with --all")
    delete.add_argument("--all", action="store_true", help="all versions of the head")
    delete.add_argument(
        "--force", action="store_true", help="even if aliases point at it; they are deleted too"
    )
    _add_drift(actions, shared)


def _add_drift(actions: Subparsers, shared: argparse.ArgumentParser) -> None:
    text = "compare rows predicted lately with the training rows"
    drifted = declare(actions, shared, "drift", show_drift, text)
    drifted.add_argument("head", metavar="HEAD", help="pets (latest version), pets@3 or pets@prod")
    which = drifted.add_mutually_exclusive_group()
    which.add_argument("--version", type=positive(int), help="its version (the latest)")
    which.add_argument("--alias", help="the version that this alias names")
    drifted.add_argument("--hours", type=positive(int), help="how far back (24)")
    drifted.add_argument("--by", choices=("hour",), help="also show each hour on its own")


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
    name, named = name_and_version(arguments.head)
    if named is None:
        head = client.heads.get(name)
        raw, versions = head.raw, head.versions
    else:
        version = client.heads.version(name, version_number(client, name, named))
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
            plain.moment(version.created_at),
        ]
        for version in versions
    ]
    print(plain.columns(rows))
    for version in versions:
        tags = " ".join(f"{name}={value}" for name, value in version.tags.items())
        if noted := "  ".join(part for part in (tags, version.description) if part):
            print(f"\n{version}  {noted}")


def edit_version(client: Client, arguments: Namespace) -> None:
    """`nmtune heads edit`: notes a description and tags of a version"""
    name, named = name_and_version(arguments.head)
    number = version_number(client, name, named or "latest")
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
    name_alone(arguments.head, usage="alias HEAD ALIAS VERSION")
    shares = class_shares(arguments.class_share)
    if shares is not None and arguments.no_class_shares:
        raise ValueError("--class-share and --no-class-shares contradict each other: choose one")
    client.heads.set_alias(
        arguments.head,
        arguments.alias,
        arguments.version,
        class_shares="kept" if shares is None and not arguments.no_class_shares else shares,
    )
    if arguments.json:
        print_json(client.heads.get(arguments.head).raw)
    else:
        print(f"{arguments.head}@{arguments.alias} -> {arguments.head}@{arguments.version}")


def compare_versions(client: Client, arguments: Namespace) -> None:
    """`nmtune heads compare`"""
    name = name_alone(arguments.head, usage="compare HEAD FROM TO")
    found = client.heads.compare(name, arguments.before, arguments.after)
    if arguments.json:
        print_json(found.raw)
        return
    print(found)


def roll_back_alias(client: Client, arguments: Namespace) -> None:
    """`nmtune heads rollback`"""
    name = name_alone(arguments.head, usage="rollback HEAD ALIAS")
    version = client.heads.rollback(name, arguments.alias)
    if arguments.json:
        print_json(version.raw)
    else:
        print(f"{arguments.head}@{arguments.alias} -> {version}")


def delete_versions(client: Client, arguments: Namespace) -> None:
    """`nmtune heads delete`: a version, or with --all the head whole"""
    name, version = name_and_version(arguments.head)
    if (version is None) != arguments.all:
        raise ValueError("name one version, as in pets@3, or the head and --all for all versions")
    number = None if version is None else version_number(client, name, version)
    client.heads.delete(name, number, force=arguments.force)
    if arguments.json:
        print_json({"name": name, "version": number, "deleted": True})
    else:
        say(f"Deleted {name}{'' if number is None else f'@{number}'}.")
