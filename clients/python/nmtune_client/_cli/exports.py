"""Home of the commands about versions beyond listing: export, verify, compare, delete, rollback."""

from argparse import Namespace
from pathlib import Path

from nmtune_client import _text
from nmtune_client._bundle import BundleError, verify_bundle
from nmtune_client._cli.output import print_json, say
from nmtune_client._client import Client
from nmtune_client._comparison import HeadComparison


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
    found = client.heads.compare(arguments.head, arguments.before, arguments.after)
    if arguments.json:
        print_json(found.raw)
        return
    print(comparison_text(found))


def comparison_text(found: HeadComparison) -> str:
    """The verdict, figures by split, and what else differs."""
    rows = [["split", "metric", str(found.before), str(found.after), "difference", "95 %", "rows"]]
    for split in found.splits:
        for metric, figures in split["metrics"].items():
            if figures["from"] is None and figures["to"] is None:
                continue
            low_high = figures["interval"]
            rows.append(
                [
                    split["split"],
                    metric,
                    _figure(figures["from"]),
                    _figure(figures["to"]),
                    _figure(figures["difference"], signed=True),
                    f"{low_high[0]:+.4f} to {low_high[1]:+.4f}" if low_high else "",
                    "same" if split["same_rows"] else "different",
                ]
            )
    parts = [found.verdict, _text.columns(rows, right=(2, 3, 4)), found.note]
    for title, changes in (("config", found.config), ("lineage", found.lineage)):
        if changes:
            lines = [
                [name, str(one["from"]), "->", str(one["to"])] for name, one in changes.items()
            ]
            parts.append(f"{title}:\n{_text.columns(lines)}")
    for word, names in (("added", found.classes_added), ("removed", found.classes_removed)):
        if names:
            parts.append(f"classes {word}: {', '.join(names)}")
    return "\n\n".join(parts)


def _figure(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.4f}" if signed else f"{value:.4f}"


def delete(client: Client, arguments: Namespace) -> None:
    """`nmtune heads delete`: a version, or with --all the head whole"""
    name, version = name_and_version(arguments.head)
    if (version is None) != arguments.all:
        raise ValueError("name one version, as in pets@3, or the head and --all for all versions")
    if version is not None and not version.isdigit():
        version = str(_named(client, name, version))
    number = None if version is None else int(version)
    client.heads.delete(name, number, force=arguments.force)
    if arguments.json:
        print_json({"name": name, "version": number, "deleted": True})
    else:
        say(f"Deleted {name}{'' if number is None else f'@{number}'}.")


def _named(client: Client, name: str, alias: str) -> int:
    head = client.heads.get(name)
    if alias == "latest":
        return head.latest_version
    if alias not in head.aliases:
        raise ValueError(f"{name} has no alias {alias}, but {', '.join(head.aliases) or 'none'}")
    return head.aliases[alias]


def roll_back(client: Client, arguments: Namespace) -> None:
    """`nmtune heads rollback`"""
    version = client.heads.rollback(arguments.head, arguments.alias)
    if arguments.json:
        print_json(version.raw)
    else:
        print(f"{arguments.head}@{arguments.alias} -> {version}")


def name_and_version(text: str) -> tuple[str, str | None]:
    """`pets@3` as its two parts; the second is None where there is none."""
    name, _, version = text.partition("@")
    return name, version or None
