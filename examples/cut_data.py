"""Cuts a small, seeded part out of a larger .npz in the service's layout.

How `data/intents.npz` was made:

python examples/cut_data.py LARGE.npz SMALL.npz --train 1500 --test 810 --ood 1300
"""

import argparse
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def stratified_rows(
    y: npt.NDArray[np.int64], n_rows: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Indices of at most `n_rows` rows with the class shares of `y`, in random order."""
    if n_rows >= len(y):
        return rng.permutation(len(y))
    share = n_rows / len(y)
    kept = [
        rng.choice(rows := np.flatnonzero(y == label), size=round(len(rows) * share), replace=False)
        for label in np.unique(y)
    ]
    return rng.permutation(np.concatenate(kept))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--train", type=int, required=True, help="training rows to keep")
    parser.add_argument("--test", type=int, required=True, help="test rows to keep")
    parser.add_argument("--ood", type=int, required=True, help="rows to keep of each OOD domain")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    wanted = {"train": arguments.train, "test": arguments.test}
    rng = np.random.default_rng(arguments.seed)
    with np.load(arguments.source, allow_pickle=False) as source:
        kept = {"class_names": source["class_names"]}
        for split in (name.removesuffix("_x") for name in source.files if name.endswith("_x")):
            y = source[f"{split}_y"]
            rows = stratified_rows(y, wanted.get(split, arguments.ood), rng)
            kept[f"{split}_x"] = source[f"{split}_x"][rows]
            kept[f"{split}_y"] = y[rows]
    np.savez_compressed(arguments.target, **kept)


if __name__ == "__main__":
    main()
