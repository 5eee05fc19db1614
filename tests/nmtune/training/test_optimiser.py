"""AdamW: torch's own to the bit, without what that one loads."""

import subprocess
import sys

import torch

from nmtune.training.optimiser import AdamW


def test_it_is_torchs_adamw_to_the_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    start = {name: torch.randn(3, 5, generator=generator) for name in ("one", "other")}
    ours = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    theirs = [tensor.clone().requires_grad_() for tensor in start.values()]
    optimiser = AdamW(ours, learning_rate=1e-2, weight_decay=0.1)
    peer = torch.optim.AdamW(theirs, lr=1e-2, weight_decay=0.1, fused=True)
    for step in range(4):
        optimiser.learning_rate = peer.param_groups[0]["lr"] = 1e-2 / (step + 1)
        optimiser.descend((ours["one"] * ours["other"]).cosh().sum())
        peer.zero_grad()
        (theirs[0] * theirs[1]).cosh().sum().backward()
        peer.step()
    for one, other in zip(ours.values(), theirs, strict=True):
        assert torch.equal(one, other)


def test_it_does_not_load_torchs_compiler() -> None:
    """Which takes nearly two seconds of CPU, in every training."""
    script = (
        "import sys, torch; from nmtune.training.optimiser import AdamW;"
        "one = torch.ones(2, requires_grad=True);"
        "AdamW({'one': one}, learning_rate=1.0, weight_decay=0.0).descend(one.sum());"
        "assert float(one.sum()) < 2; assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
