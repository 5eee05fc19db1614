"""What an adapted version, or one moved by a bridge, is: in a sentence for people."""

from typing import Any

from store.registry.heads import HeadVersion


def sentence(one: HeadVersion) -> str | None:
    """What an adapted or moved version was found to be, in a sentence; None for a trained one."""
    if is_moved(one):
        return _moved(one)
    record = one.lineage.get("adaptation")
    if one.adapted_from is None or record is None:
        return None
    held_out = record["held_out"]
    low, high = held_out["gain_interval"]
    return (
        f"{one.name}@{one.version} was adapted from {one.name}@{one.adapted_from} to "
        f"{record['n_rows']:,} labelled rows, and was not tested on other splits: on those rows, "
        f"held out in turn, its log loss is {held_out['after']:.3g} instead of "
        f"{held_out['before']:.3g} ({held_out['gain']:.2g} less, 95 % interval {low:.2g} to "
        f"{high:.2g}) and its accuracy {held_out['accuracy_after']:.1%} instead of "
        f"{held_out['accuracy_before']:.1%}."
    )


def is_moved(one: HeadVersion) -> bool:
    """Whether a bridge made it, so that it was tested on no split."""
    record = one.lineage.get("migration")
    return one.adapted_from is None and record is not None and record["way"] == "bridge"


def _moved(one: HeadVersion) -> str:
    record = one.lineage["migration"]
    low, high = record["agreement"]["interval"]
    said = (
        f"{one.name}@{one.version} was moved from {one.name}@{record['from_version']} to another "
        f"encoder by a bridge, and was not tested on other splits: on "
        f"{record['agreement']['n_rows']:,} held-out texts of the bridge the moved head chose the "
        f"same class for {record['agreement']['share']:.1%} (95 % interval {low:.1%} to {high:.1%})"
    )
    trial = record.get("trial")
    if trial is None:
        return f"{said}."
    loss = f"{trial['loss_refitted']:.3g} refitted, {trial['loss_moved']:.3g} moved"
    return f"{said}; of log loss there ({loss}) the {_winner(record)} had less and was published."


def _winner(record: dict[str, Any]) -> str:
    return "refit to its labels" if record["made_by"] == "refit" else "moved head"
