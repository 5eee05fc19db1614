"""What an adapted version is, in a sentence for people."""

from store.registry.heads import HeadVersion


def sentence(one: HeadVersion) -> str | None:
    """What an adapted version won, in a sentence; None for a trained one."""
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
