"""`nmtune heads export` and `nmtune verify`: a head as a file, and the check of one."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from nmtune_client import BundleError, Client, verify_bundle
from nmtune_client._cli.shared import inputs
from nmtune_client._cli.shared.head_names import name_and_version
from nmtune_client._cli.shared.options import Subparsers, declare
from nmtune_client._cli.shared.output import print_json, say
from nmtune_client._show import plain


def add_verify(commands: Subparsers, shared: ArgumentParser) -> None:
    """Declare `nmtune verify`."""
    verify = declare(commands, shared, "verify", verify_file, "check an exported bundle, offline")
    verify.add_argument("bundle", metavar="BUNDLE.zip", help="what `nmtune heads export` wrote")
    verify.add_argument(
        "--no-onnx", dest="onnx", action="store_false", help="do not run model.onnx"
    )


def export_version(client: Client, arguments: Namespace) -> None:
    """`nmtune heads export`: prints the path of the file or folder"""
    name, named = name_and_version(arguments.head)
    version = named or "latest"
    path = client.heads.export(name, version, format=arguments.format, path=arguments.output)
    files = [one for one in (path, *path.rglob("*")) if one.is_file()]
    n_bytes = sum(one.stat().st_size for one in files)
    say(f"Exported {name}@{version}, {plain.size(n_bytes)}.")
    if arguments.json:
        print_json({"path": str(path), "size_bytes": n_bytes})
    else:
        print(path)


def verify_file(_: Client, arguments: Namespace) -> None:
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
