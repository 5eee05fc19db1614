"""What a report found about the data, by name."""

from collections.abc import Mapping
from dataclasses import field

from nmtune_client._report.parts import ClassMetrics
from nmtune_client._report.record import Record, record


@record
class ExpectedWrong(Record):
    """How many labels are expected to be wrong, with a 95 % interval."""

    n_rows: float | None = None
    low: float | None = None
    high: float | None = None


@record
class LabelPair(Record):
    """How many rows labelled `given` look like `suggested`."""

    given: str = ""
    suggested: str = ""
    n_rows: int | None = None


@record
class LabelErrors(Record):
    """Whether the training labels look noisy; the rows themselves are `Report.suspects`."""

    n_rows: int | None = None
    labels_look_noisy: bool | None = None
    noise_rate: float | None = None
    expected_wrong: ExpectedWrong | None = None
    n_suspected: int | None = None
    suspected_share: float | None = None
    confident_disagreement: float | None = None
    disagreement_error: float | None = None
    disagreement_interval: tuple[float, float] | None = None
    n_confident_rows: int | None = None
    noisy_from: float | None = None
    rows_note: str | None = None
    n_pairs: int | None = None
    pairs: tuple[LabelPair, ...] = field(default=(), repr=False)
    sentence: str = field(default="", repr=False)


@record
class DuplicatePair(Record):
    """A row of another split, and the training row that it nearly repeats."""

    row: int | None = None
    train_row: int | None = None
    similarity: float | None = None
    label: str | None = None
    train_label: str | None = None
    file_row: int | None = None
    id: str | None = None
    train_file_row: int | None = None
    train_id: str | None = None
    text: str | None = None
    train_text: str | None = None


@record
class SplitDuplicates(Record):
    """The near-duplicates of one split."""

    threshold: float | None = None
    n_rows: int | None = None
    n_compared: int | None = None
    n_near_duplicates: int | None = None
    share: float | None = None
    n_other_label: int | None = None
    share_of_pairs: float | None = None
    notes: tuple[str, ...] = ()
    rows_note: str | None = None
    pairs: tuple[DuplicatePair, ...] = field(default=(), repr=False)


@record
class NearDuplicates(Record):
    """Rows of the other splits that nearly repeat a training row."""

    splits: Mapping[str, SplitDuplicates] = field(default_factory=dict)
    sentence: str = field(default="", repr=False)


@record
class ClassSpectrum(ClassMetrics):
    """The spectrum of one class."""

    n_rows: int | None = None
    entropy: float | None = None
    largest_ratio: float | None = None
    effective_rank: float | None = None


@record
class SpectraOfClasses(Record):
    """The spectrum of each class of one split."""

    centering: str = ""
    n_left_out: int | None = None
    n_too_small: int | None = None
    per_class: tuple[ClassSpectrum, ...] = field(default=(), repr=False)


@record
class ConformalSplit(Record):
    """Conformal sets on one split."""

    n_rows: int | None = None
    coverage: float | None = None
    mean_size: float | None = None


@record
class Conformal(Record):
    """Conformal sets, tried on rows that the head never learnt from."""

    level: float | None = None
    n_held_out_rows: int | None = None
    splits: Mapping[str, ConformalSplit] = field(default_factory=dict)


@record
class OodSplit(Record):
    """The OOD score on one split."""

    n_rows: int | None = None
    share_above_threshold: float | None = None
    auroc: float | None = None
    counts: tuple[int, ...] = field(default=(), repr=False)


@record
class OodScore(Record):
    """The OOD score, tried on rows that the head never learnt from.

    The `counts` of each split are its rows between two `edges`, the last of them all rows above.
    """

    threshold: float | None = None
    quantile: float | None = None
    edges: tuple[float, ...] = field(default=(), repr=False)
    splits: Mapping[str, OodSplit] = field(default_factory=dict)


@record
class Trust(Record):
    """What the head knows of its own limits."""

    conformal: Conformal | None = None
    ood: OodScore | None = None
    sentence: str = field(default="", repr=False)


@record
class CurveSplit(Record):
    """The mean accuracy over seeds on one split."""

    accuracy: float | None = None
    deviation: float | None = None
    n_seeds: int | None = None


@record
class CurvePoint(Record):
    """What so many training rows reach."""

    fraction: float | None = None
    n_rows: int | None = None
    splits: Mapping[str, CurveSplit] = field(default_factory=dict)


@record
class Outlook(Record):
    """What twice as many labels would bring on one split."""

    split: str = ""
    n_rows: int | None = None
    accuracy: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""
    sentence: str = field(default="", repr=False)


@record
class LearningCurve(Record):
    """Accuracy by number of training rows; no points where none could be drawn."""

    candidate: str = ""
    points: tuple[CurvePoint, ...] = field(default=(), repr=False)
    outlook: Mapping[str, Outlook] = field(default_factory=dict, repr=False)
    sentence: str = ""


@record
class ClassSpectra(Record):
    """The spectra of the classes on one split, before and after tuning."""

    split: str = ""
    untuned: SpectraOfClasses | None = field(default=None, metadata={"member": "raw"})
    tuned: SpectraOfClasses | None = None


@record
class LabelsOfDomain(Record):
    """What so many labels of a domain would bring, on its other rows."""

    n_labels: int | None = None
    accuracy: float | None = None
    gain: float | None = None
    gain_interval: tuple[float, ...] = ()


@record
class DomainTried(Record):
    """One OOD split: the head as it is, and adapted."""

    n_rows: int | None = None
    accuracy: float | None = None
    sizes: tuple[LabelsOfDomain, ...] = ()


@record
class NewDomain(Record):
    """What a few labels of each OOD domain would be worth, by `client.heads.adapt`."""

    splits: Mapping[str, DomainTried] = field(default_factory=dict)
    hint: str = field(default="", repr=False)
    sentence: str = field(default="", repr=False)


@record
class Findings(Record):
    """What else was found about the data."""

    label_errors: LabelErrors | None = None
    near_duplicates: NearDuplicates | None = None
    class_spectra: ClassSpectra | None = None
    trust: Trust | None = None
    new_domain: NewDomain | None = None
    learning_curve: LearningCurve | None = None
