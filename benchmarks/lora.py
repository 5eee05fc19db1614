"""What adapting local-minilm is worth: LoRA with and without NMTune's terms beside frozen heads.

python benchmarks/lora.py FILE.jsonl [...] [--rows 600] [--judged 300] [--seeds 0 1] [--write PAGE]

Each line of a file has `split` (train, test, ood_NAME), `label` (an index) and `text`. So many
training rows are drawn, and so many rows of each other split. As in a job of paradigm lora, 300
rows judge strength and choice, which nothing learns from; `auto` gets them as validation rows.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import page
import torch
from numpy.typing import NDArray

from nmtune import Head, HeldOut, Trainer, TuneConfig
from nmtune.encoder.adapter import Pair
from nmtune.encoder.architecture import Architecture
from nmtune.encoder.batches import epoch_batches
from nmtune.encoder.candidates import resolve_lora
from nmtune.encoder.choice import choose_adapted
from nmtune.encoder.network import EncoderNetwork, Tokens, padded
from nmtune.encoder.strength import choose_strength
from nmtune.encoder.trainer import LoraTrainer
from nmtune.numeric.statistics import PairedCounts, bootstrap_interval
from nmtune.training.auto import fit_auto
from providers.local import minilm
from providers.local.directory import read_encoder
from providers.local.tokenizer import read_tokenizer

HEAD: Final = ("set", "seed", "candidate", "ID", "OOD mean", "judging loss", "CPU s", "× bare")
Correct = dict[str, NDArray[np.bool_]]


class Drawn(NamedTuple):
    """Token ids and labels by split; `judge` are training rows that nothing learns from."""

    tokens: dict[str, Tokens]
    y: dict[str, NDArray[np.int64]]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--judged", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--write", type=Path, help="page to put the table into")
    arguments = parser.parse_args(argv)
    rows: list[list[str]] = []
    sentences = []
    for path in arguments.files:
        pairs: list[tuple[Correct, Correct]] = []
        for seed in arguments.seeds:
            found, lines = _measured(path, arguments.rows, arguments.judged, seed)
            rows += lines
            pairs.append((found["lora_nmtune"], found["lora"]))
        sentences.append(_difference(path.stem, pairs))
    lines = [
        f"Measured {page.machine()}; {arguments.rows} training rows, {arguments.judged} rows a "
        f"split, seeds {', '.join(map(str, arguments.seeds))}, the defaults of a job.",
        "",
        *page.table(HEAD, rows),
        "",
        *sentences,
    ]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "lora", "\n".join(lines))


def _measured(
    path: Path, n_rows: int, n_judged: int, seed: int
) -> tuple[dict[str, Correct], list[list[str]]]:
    base = read_encoder(minilm.place())
    config, settings = base.config, base.settings
    network = EncoderNetwork.load(
        Architecture(
            n_layers=config.n_layers,
            n_heads=config.n_heads,
            width=config.width,
            inner_width=config.inner_width,
            epsilon=config.epsilon,
        ),
        base.tensors,
    )
    tokenizer = read_tokenizer(base.tokenizer, config, settings)
    drawn = _draw(path, tokenizer, n_rows, n_judged, seed)
    frozen = {split: network.encode(tokens) for split, tokens in drawn.tokens.items()}
    classes = [str(one) for one in range(1 + max(int(y.max()) for y in drawn.y.values()))]
    x, y = frozen["train"], drawn.y["train"]
    start = _probe(x, y, classes, seed)
    judge = (frozen["judge"], drawn.y["judge"])
    auto = fit_auto(x, y, classes=classes, seed=seed, validation=judge).head
    correct = {"linear_probe": _correct(start, frozen, drawn), "frozen_auto": {}}
    correct["frozen_auto"] = _correct(auto, frozen, drawn)
    held_out = {"frozen_auto": _held_out(auto, *judge)}
    lines = []
    bare = _bare_seconds(network, drawn, seed)
    costs: dict[str, float] = {}
    for name, settings_of in resolve_lora({"seed": seed}).configs.items():
        began = time.process_time()
        cut = [one[: settings_of.max_tokens] for one in drawn.tokens["train"]]
        trainer = LoraTrainer(network, cut, y, start=start, config=settings_of)
        for _ in trainer:
            pass
        costs[name] = time.process_time() - began
        fit = trainer.result()
        chosen = choose_strength(network, fit, drawn.tokens["judge"], drawn.y["judge"])
        held_out[name] = chosen.held_out
        assert fit.adapter is not None
        adapter = fit.adapter.at(chosen.strength)
        vectors = {
            split: network.encode(tokens, adapter)
            for split, tokens in drawn.tokens.items()
            if split != "train"
        }
        correct[name] = _correct(fit.head_at(chosen.strength), vectors, drawn)
    judged = {name: one for name, one in held_out.items() if name != "frozen_auto"}
    choice = choose_adapted(held_out["frozen_auto"], judged)
    (winner,) = choice.weights
    losses = {one.candidate: f"{one.log_loss:.3f}" for one in choice.evidence}
    for name, found in correct.items():
        shown = f"**{name}**" if name == winner else name
        cost = costs.get(name)
        lines.append(
            [
                path.stem,
                str(seed),
                shown,
                f"{100 * found['test'].mean():.1f}",
                f"{100 * _ood(found):.1f}",
                losses.get(name, ""),
                "" if cost is None else f"{cost:.0f}",
                "" if cost is None else f"{cost / bare:.2f}",
            ]
        )
    return correct, lines


def _draw(path: Path, tokenizer: object, n_rows: int, n_judged: int, seed: int) -> Drawn:
    by_split: dict[str, list[tuple[str, int]]] = {}
    with path.open() as file:
        for line in file:
            row = json.loads(line)
            by_split.setdefault(row["split"], []).append((row["text"], row["label"]))
    random = np.random.default_rng(seed)
    picked = {}
    for split, rows in by_split.items():
        n = n_rows + n_judged if split == "train" else n_judged
        picked[split] = [rows[at] for at in random.permutation(len(rows))[:n]]
    picked["judge"], picked["train"] = picked["train"][n_rows:], picked["train"][:n_rows]
    encode = tokenizer.encode_batch  # type: ignore[attr-defined]
    return Drawn(
        tokens={
            split: [np.array(one.ids, np.int64) for one in encode([text for text, _ in rows])]
            for split, rows in picked.items()
        },
        y={split: np.array([label for _, label in rows]) for split, rows in picked.items()},
    )


def _probe(x: NDArray[np.float32], y: NDArray[np.int64], classes: Sequence[str], seed: int) -> Head:
    config = TuneConfig.from_preset("linear_probe", scaling="rms", seed=seed)
    trainer = Trainer(x, y, classes=classes, config=config)
    for _ in trainer:
        pass
    return trainer.result().head.calibrated(1.0)


def _bare_seconds(network: EncoderNetwork, drawn: Drawn, seed: int) -> float:
    """CPU seconds of as many plain forward and backward passes, through adapters of no effect."""
    config = resolve_lora({"seed": seed}).configs["lora"]
    cut = [one[: config.max_tokens] for one in drawn.tokens["train"]]
    lengths = [len(one) for one in cut]
    pairs = {}
    for name, n_out, n_in in network.architecture.linear_layers(config.targets):
        a = torch.zeros(config.rank, n_in, requires_grad=True)
        pairs[name] = (a, torch.zeros(n_out, config.rank, requires_grad=True))
    named = {name: Pair(*pair) for name, pair in pairs.items()}
    began = time.process_time()
    for epoch in range(1, config.epochs + 1):
        for rows in epoch_batches(lengths, size=config.batch_size, seed=seed, epoch=epoch):
            ids, mask = padded([cut[row] for row in rows], network.device)
            network.pooled(ids, mask, named, 2.0).sum().backward()  # type: ignore[no-untyped-call]
    return time.process_time() - began


def _correct(head: Head, vectors: Mapping[str, NDArray[np.float32]], drawn: Drawn) -> Correct:
    return {
        split: head.logits(x).argmax(axis=1) == drawn.y[split]
        for split, x in vectors.items()
        if split not in ("train", "judge")
    }


def _held_out(head: Head, x: NDArray[np.float32], y: NDArray[np.int64]) -> HeldOut:
    return HeldOut(logits=head.logits(x), y=y.astype(np.int64), n_train_rows=0)


def _ood(found: Correct) -> float:
    return float(np.mean([one.mean() for split, one in found.items() if split.startswith("ood")]))


def _difference(name: str, pairs: Sequence[tuple[Correct, Correct]]) -> str:
    """What the terms change of LoRA, over all seeds: in domain, and the mean over the domains."""
    told = []
    for title, splits in (
        ("in domain", ["test"]),
        ("out of domain", [one for one in pairs[0][0] if one.startswith("ood")]),
    ):
        counts = [
            PairedCounts.of(
                np.concatenate([ours[split] for ours, _ in pairs]),
                np.concatenate([theirs[split] for _, theirs in pairs]),
            )
            for split in splits
        ]
        low, high = bootstrap_interval(counts)
        mean = float(np.mean([one.difference for one in counts]))
        told.append(f"{100 * mean:+.1f} points {title} ({100 * low:+.1f} to {100 * high:+.1f})")
    return f"- {name}: NMTune's terms change LoRA by {' and '.join(told)}, with 95 % intervals."


if __name__ == "__main__":
    main()
