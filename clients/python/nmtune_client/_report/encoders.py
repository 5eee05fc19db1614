"""The part of a report on the encoders that its job compared."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from nmtune_client._report.parts import Comparison, Metrics
from nmtune_client._report.record import Record, record


@record
class HeldOutLoss(Record):
    """An encoder's head on held-out training rows: log loss in nats, accuracy 0..1.

    `difference` is its log loss minus that of the best, `interval` the paired 95 % interval, and
    `ties` whether that holds 0.
    """

    accuracy: float | None = None
    log_loss: float | None = None
    difference: float | None = None
    interval: tuple[float, ...] | None = None
    ties: bool | None = None


@record
class Latency(Record):
    """How long the provider took for single texts."""

    n_texts: int | None = None
    median_seconds: float | None = None
    p95_seconds: float | None = None


@record
class ComparedEncoder(Record):
    """One encoder; `status` is ranked or failed, with the `error` that it dropped out by.

    embedded_with: the encoder whose vectors it truncates, so that it cost nothing.
    """

    name: str = ""
    status: str = ""
    error: Mapping[str, Any] | None = None
    encoder: Mapping[str, Any] | None = field(default=None, repr=False)
    dataset_id: str | None = None
    embedded_with: str | None = None
    n_columns: int | None = None
    held_out: HeldOutLoss | None = None
    metrics: Mapping[str, Metrics] = field(default_factory=dict, repr=False)
    ood_accuracy: float | None = None
    made_of: Mapping[str, float] = field(default_factory=dict)
    n_parameters: int | None = None
    labels_look_noisy: bool | None = None
    usage: Mapping[str, Any] | None = field(default=None, repr=False)
    tokens_per_1000_texts: float | None = None
    cost_per_1000_texts: float | None = None
    latency: Latency | None = None
    share_truncated: float | None = None
    share_maybe_truncated: float | None = None


@record
class EncoderComparison(Record):
    """The encoders by rank, which was chosen and why; `comparison` has each against the best."""

    chosen: str = ""
    best: str = ""
    reason: str = ""
    n_held_out_rows: int | None = None
    sample: int | None = None
    compared: tuple[ComparedEncoder, ...] = ()
    comparison: tuple[Comparison, ...] = field(default=(), repr=False)
