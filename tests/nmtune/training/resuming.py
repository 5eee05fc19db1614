"""Training goes on from any checkpoint as if nothing had happened."""

from collections.abc import Callable
from itertools import islice

from nmtune import Trainer, TuneConfig


def check_resumes(trainer_on: Callable[..., Trainer], config: TuneConfig) -> None:
    """From each checkpoint the rest has the same losses and ends in the same head, bit for bit."""
    undisturbed = trainer_on(200, config)
    history = list(undisturbed)
    expected = undisturbed.result()
    for n_done in range(len(history) + 1):
        first = trainer_on(200, config)
        assert len(list(islice(first, n_done))) == n_done
        second = trainer_on(200, config, checkpoint=first.checkpoint())
        rest = list(second)
        assert [report.losses for report in rest] == [r.losses for r in history[n_done:]]
        assert second.result().head.to_bytes() == expected.head.to_bytes()
