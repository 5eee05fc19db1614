"""The parts of a report: candidates and their metrics, comparisons, and what goes with the head."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nmtune_client._report.record import Record, record


@record
class ClassMetrics(Record):
    """One class on one split; `support` counts its true rows."""

    name: str = ""
    support: int | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


@record
class Confusion(Record):
    """One mistake, and how many rows it was made on."""

    true: str = ""
    predicted: str = ""
    n_rows: int | None = None


@record
class ReliabilityBin(Record):
    """The rows whose confidence is in [low, high]."""

    low: float | None = None
    high: float | None = None
    n_rows: int | None = None
    mean_confidence: float | None = None
    accuracy: float | None = None


@record
class Metrics(Record):
    """One candidate on one split; shares are between 0 and 1."""

    split: str = ""
    n_rows: int | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    log_loss: float | None = None
    ece: float | None = None
    n_classes_present: int | None = None
    per_class: tuple[ClassMetrics, ...] = field(default=(), repr=False)
    confusions: tuple[Confusion, ...] = field(default=(), repr=False)
    confusion_matrix: tuple[tuple[int, ...], ...] | None = field(default=None, repr=False)
    """(c, c): true classes by predicted ones; None for many classes."""
    reliability: tuple[ReliabilityBin, ...] = field(default=(), repr=False)


@record
class Spectrum(Record):
    """The spectrum of embeddings (n, d): SVE is `entropy`, LSVR `largest_ratio`."""

    entropy: float | None = None
    largest_ratio: float | None = None
    effective_rank: float | None = None
    singular_values: tuple[float, ...] = field(default=(), repr=False)


@record
class Candidate(Record):
    """A head that was trained, and by split what it was found to be."""

    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    n_parameters: int | None = None
    train_seconds: float | None = None
    temperature: float | None = None
    metrics: Mapping[str, Metrics] = field(default_factory=dict, repr=False)
    history: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    spectra: Mapping[str, Spectrum] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()


@record
class Comparison(Record):
    """A candidate against a baseline on the rows of one split; `kind` is id, ood or ood_mean.

    `accuracy_difference` is candidate minus baseline, `interval` its 95 % interval, `finding` one
    of gain, probable_gain, unclear, probable_loss and loss.
    """

    split: str = ""
    kind: str = ""
    candidate: str = ""
    baseline: str = ""
    n_rows: int | None = None
    n_gained: int | None = None
    n_lost: int | None = None
    candidate_accuracy: float | None = None
    baseline_accuracy: float | None = None
    macro_f1_difference: float | None = None
    accuracy_difference: float | None = None
    interval: tuple[float, ...] = ()
    p_value: float | None = None
    picked_from: int | None = None
    finding: str | None = None


@record
class Evidence(Record):
    """What one candidate reached on held-out rows."""

    candidate: str = ""
    accuracy: float | None = None
    accuracy_interval: tuple[float, float] | None = None
    log_loss: float | None = None


@record
class Choice(Record):
    """What method auto chose: `weights` of the candidates in the published head, and why."""

    weights: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    n_rows: int | None = None
    labels_look_noisy: bool | None = None
    evidence: tuple[Evidence, ...] = field(default=(), repr=False)


@record
class CalibratedSplit(Record):
    """One split before and after the temperature."""

    n_rows: int | None = None
    ece_before: float | None = None
    ece_after: float | None = None
    log_loss_before: float | None = None
    log_loss_after: float | None = None
    reliability_before: tuple[ReliabilityBin, ...] = field(default=(), repr=False)


@record
class Calibration(Record):
    """The published head's temperature, and by split what it changes."""

    candidate: str = ""
    temperature: float | None = None
    method: str = field(default="", repr=False)
    splits: Mapping[str, CalibratedSplit] = field(default_factory=dict, repr=False)


@record
class AbstainingSplit(Record):
    """What the advised threshold does on one split; intervals are of 95 %."""

    n_rows: int | None = None
    n_answered: int | None = None
    coverage: float | None = None
    coverage_interval: tuple[float, ...] = ()
    accuracy: float | None = None
    accuracy_interval: tuple[float, ...] = ()
    accuracy_of_all: float | None = None


@record
class Abstention(Record):
    """The threshold advised for abstain_below, None where none is, with the reason."""

    threshold: float | None = None
    reason: str = ""
    sentence: str = field(default="", repr=False)
    n_held_out_rows: int | None = None
    splits: Mapping[str, AbstainingSplit] = field(default_factory=dict, repr=False)


@record
class AliasOutcome(Record):
    """What became of the job's alias, and the command that moves it if it did not move."""

    name: str = ""
    moved: bool | None = None
    version: int | None = None
    previous_version: int | None = None
    reason: str = ""
    command: str | None = None


@record
class ReportedSplit(Record):
    """One split of the dataset that was learnt from."""

    name: str = ""
    n_rows: int | None = None
    n_classes_present: int | None = None


@record
class ReportedDataset(Record):
    """The dataset that was learnt from."""

    id: str = ""
    name: str = ""
    sha256: str = field(default="", repr=False)
    n_columns: int | None = None
    classes: tuple[str, ...] = ()
    class_shares: dict[str, float] | None = field(default=None, repr=False)
    """Of the training rows."""
    splits: tuple[ReportedSplit, ...] = ()


@record
class RankCorrelation(Record):
    """Spearman's rho, and how rare it would be if spectra said nothing of accuracy."""

    rho: float | None = None
    p_value: float | None = None


@record
class SplitCorrelation(Record):
    """How SVE and LSVR rank the candidates on one split beside their accuracy."""

    n_candidates: int | None = None
    entropy: RankCorrelation | None = None
    largest_ratio: RankCorrelation | None = None


@record
class Correlation(Record):
    """How far the spectra can be trusted here."""

    splits: Mapping[str, SplitCorrelation] = field(default_factory=dict, repr=False)
    sentence: str = ""


@record
class Spectra(Record):
    """By split, the spectra of the raw embeddings and of those that the published head tunes."""

    centering: str = ""
    untuned: Mapping[str, Spectrum] = field(
        default_factory=dict, repr=False, metadata={"member": "raw"}
    )
    tuned: Mapping[str, Spectrum] = field(default_factory=dict, repr=False)
    correlation: Correlation | None = None


@record
class Environment(Record):
    """What the job ran with."""

    nmtune_version: str | None = None
    torch_version: str | None = None
    python_version: str | None = None
    platform: str | None = None
    device: str | None = None
    device_name: str | None = None
    n_threads: int | None = None
    seed: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The server's reading of the numbers; `str()` gives summary and sentences as one text.

    recommended: the candidate to use, None where the choice is the reader's. advises_against:
    whether that is another head than the published one. to_publish: the candidate that the summary
    says how to publish, see `Job.publish`. rival: the best of the other candidates. Of reports that
    an older server wrote, these are None.
    """

    summary: str = ""
    sentences: tuple[str, ...] = ()
    recommended: str | None = None
    advises_against: bool | None = None
    to_publish: str | None = None
    rival: str | None = None
    best_id: str | None = None
    best_ood: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.summary, *self.sentences) if part)
