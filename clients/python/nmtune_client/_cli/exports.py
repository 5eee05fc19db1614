"""Home of the commands about versions beyond listing: export, verify, compare, delete, rollback."""

from argparse import Namespace
from pathlib import Path

from nmtune_client._cli import inputs
from nmtune_client._cli.output import print_json, say
from nmtune_client._heads.bundle import BundleError, verify_bundle
from nmtune_client._show import plain as _text
from nmtune_client._sync.client import Client


def export(client: Client, arguments: Namespace) -> None:
    """`nmtune heads export`: prints the path of the file"""
    name, named = name_and_version(arguments.head)
    version = named or "latest"
    path = client.heads.export(name, version, format=arguments.format, path=arguments.output)
    say(f"Exported {name}@{version}, {_text.size(path.stat().st_size)}.")
    if arguments.json:
        print_json({"path": str(path), "size_bytes": path.stat().st_size})
    else:
        print(path)


def verify(_: Client, arguments: Namespace) -> None:
    """`nmtune verify`: what was checked, a line each; offline"""
    inputs.check_file(Path(arguments.bundle), holds="files")
    report = verify_bundle(arguments.bundle, onnx=arguments.onnx)
    if arguments.json:
        print_json(
            {
                "bundle": arguments.bundle,
                "head": report.head,
                "is_good": report.is_good,
                "checks": report.checks,
                "problems": report.problems,
                "skipped": report.skipped,
            }
        )
    else:
        print(f"{Path(arguments.bundle).name}: {report.head or 'unknown head'}")
        for mark, lines in (
            ("ok", report.checks),
            ("--", report.skipped),
            ("WRONG", report.problems),
        ):
            for line in lines:
                print(f"{mark:<6}{line}")
        if report.is_good:
            print("      The manifest is not signed: this does not show who made the bundle.")
    if not report.is_good:
        raise BundleError(report)


def compare(client: Client, arguments: Namespace) -> None:
    """`nmtune heads compare`"""
    name = name_alone(arguments.head, usage="compare HEAD FROM TO")
    found = client.heads.compare(name, arguments.before, arguments.after)
    if arguments.json:
        print_json(found.raw)
        return
    print(found)


def delete(client: Client, arguments: Namespace) -> None:
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


def version_number(client: Client, name: str, alias: str) -> int:
    """The version that a number, an alias or `latest` names."""
    if alias.isdigit():
        return int(alias)
    head = client.heads.get(name)
    if alias == "latest":
        return head.latest_version
    if alias not in head.aliases:
        raise ValueError(f"{name} has no alias {alias}, but {', '.join(head.aliases) or 'none'}")
    return head.aliases[alias]


def roll_back(client: Client, arguments: Namespace) -> None:
    """`nmtune heads rollback`"""
    name = name_alone(arguments.head, usage="rollback HEAD ALIAS")
    version = client.heads.rollback(name, arguments.alias)
    if arguments.json:
        print_json(version.raw)
    else:
        print(f"{arguments.head}@{arguments.alias} -> {version}")


def name_alone(text: str, *, usage: str) -> str:
    """The name of a head; ValueError that shows the right call if a version stands with it."""
    name, version = name_and_version(text)
    if version is not None:
        raise ValueError(
            f"{text} names a version, and here the name stands alone: nmtune heads {usage}"
        )
    return name


def name_and_version(text: str) -> tuple[str, str | None]:
    """`pets@3` as its two parts; the second is None where there is none."""
    name, _, version = text.partition("@")
    return name, version or None
