"""What a report says, with types; how it is shown is `Report`'s."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, TypeVar

from nmtune_client._names import TITLES
from nmtune_client._report.encoders import EncoderComparison
from nmtune_client._report.findings import Findings
from nmtune_client._report.parts import (
    Abstention,
    AliasOutcome,
    Calibration,
    Candidate,
    Choice,
    ClassMetrics,
    Comparison,
    Confusion,
    Environment,
    Metrics,
    ReportedDataset,
    Spectra,
    Verdict,
)
from nmtune_client._report.record import Record
from nmtune_client._report.rows import ReportRow, rows_of
from nmtune_client._report.suspects import Suspect

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, kw_only=True, repr=False)
class ReportData:
    """What a finished job found; `raw` is the JSON as it came, whatever version wrote it.

    Each part has attributes with types, and is the JSON itself too: `report.comparison[0].interval`
    or `["interval"]`. What a report of another version lacks is None, or empty.
    """

    raw: Mapping[str, Any]

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read a report; ValueError if it is none."""
        if not isinstance(data, Mapping) or not isinstance(data.get("candidates"), Mapping):
            raise ValueError("the report has no candidates")
        return cls(raw=data)

    @property
    def version(self) -> int | None:
        """The version of the report's form."""
        return self.raw.get("version")

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts that its job has not got to; empty of a job that has succeeded."""
        return tuple(map(str, self.raw.get("missing") or ()))

    @property
    def job_id(self) -> str:
        """The job it belongs to."""
        return str(self.raw.get("job_id", ""))

    @property
    def name(self) -> str:
        """The name of the job and of its head."""
        return str(self.raw.get("name", ""))

    @property
    def method(self) -> str:
        """The candidate that was published as a head."""
        return str(self.raw.get("method", ""))

    @cached_property
    def dataset(self) -> ReportedDataset:
        """What it was trained on."""
        return ReportedDataset.from_json(self._member("dataset"))

    @property
    def candidates(self) -> tuple[str, ...]:
        """What was trained side by side, from the simplest to auto; then those unknown here."""
        present = self.raw["candidates"]
        known = [name for name in TITLES if name in present]
        return (*known, *(name for name in present if name not in TITLES))

    def candidate(self, name: str) -> Candidate:
        """One candidate: config, metrics by split, history, notes; KeyError if there is none."""
        return Candidate.from_json(self.raw["candidates"][name])

    @property
    def verdict(self) -> Verdict:
        """The server's verdict."""
        data = self._member("verdict")
        return Verdict(
            summary=data.get("summary") or "",
            sentences=tuple(data.get("sentences") or ()),
            recommended=data.get("recommended"),
            advises_against=data.get("advises_against"),
            to_publish=data.get("to_publish"),
            rival=data.get("rival"),
            best_id=data.get("best_id"),
            best_ood=data.get("best_ood"),
        )

    @cached_property
    def comparison(self) -> tuple[Comparison, ...]:
        """One entry a pair and split: `accuracy_difference`, `interval`, `p_value`, `finding`."""
        found = self.raw.get("comparison") or ()
        return tuple(Comparison.from_json(one) for one in found if isinstance(one, Mapping))

    @property
    def alias(self) -> AliasOutcome | None:
        """What became of the job's alias: `moved`, `version`, `reason`, `command`; or None."""
        return self._part("alias", AliasOutcome)

    @property
    def choice(self) -> Choice | None:
        """What method auto chose, with the `reason`; None for other methods."""
        return self._part("choice", Choice)

    @property
    def encoders(self) -> EncoderComparison | None:
        """The encoders that the job compared, by rank, with the `reason` of its choice; or None."""
        return self._part("encoders", EncoderComparison)

    @property
    def calibration(self) -> Calibration | None:
        """The published head's temperature and, by split, its ECE before and after; or None."""
        return self._part("calibration", Calibration)

    @property
    def abstention(self) -> Abstention | None:
        """The `threshold` advised for abstain_below, and by split what it does; or None."""
        return self._part("abstention", Abstention)

    @cached_property
    def spectra(self) -> Spectra:
        """The spectra of raw and tuned embeddings by split; empty where not computed."""
        return Spectra.from_json(self._member("spectra"))

    @cached_property
    def findings(self) -> Findings:
        """What else was found about the data, by name."""
        return Findings.from_json(self._member("findings"))

    @property
    def environment(self) -> Environment:
        """Versions, device, threads, seed and seconds of the job."""
        return Environment.from_json(self._member("environment"))

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """The training rows whose label is suspected, the worst first; at most 1,000 of them."""
        found = (self.findings.get("label_errors") or {}).get("suspected") or ()
        return tuple(Suspect.from_json(one) for one in found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server warns of in the data."""
        return tuple(text for _, text in self.coded_warnings)

    @property
    def coded_warnings(self) -> tuple[tuple[str | None, str], ...]:
        """The warnings with their codes, None where one has none."""
        return tuple(
            (warning.get("code") if isinstance(warning, Mapping) else None, _sentence(warning))
            for warning in self.raw.get("warnings") or ()
        )

    def metrics(self, candidate: str, split: str) -> Metrics:
        """All metrics of one candidate on one split; KeyError if there are none."""
        return Metrics.from_json(self.raw["candidates"][candidate]["metrics"][split])

    def per_class(self, candidate: str, split: str) -> tuple[ClassMetrics, ...]:
        """Each class in order: `name`, `support` (true rows), `precision`, `recall`, `f1`."""
        return self.metrics(candidate, split).per_class

    def confusions(self, candidate: str, split: str) -> tuple[Confusion, ...]:
        """The most frequent mistakes: `true` and `predicted` class, `n_rows`; none in old reports.

        All pairs are in the (c, c) `confusion_matrix` of `metrics`, which is None for many classes.
        """
        return self.metrics(candidate, split).confusions

    def table(self) -> tuple[ReportRow, ...]:
        """One row a split (ID first, then each OOD), then the mean over the OOD splits."""
        return rows_of({name: self.candidate(name) for name in self.candidates}, self.spectra)

    def _part(self, name: str, cls: type[R]) -> R | None:
        found = self.raw.get(name)
        return cls.from_json(found) if isinstance(found, Mapping) else None

    def _member(self, name: str) -> Mapping[str, Any]:
        found = self.raw.get(name)
        return found if isinstance(found, Mapping) else {}


def _sentence(warning: object) -> str:
    if isinstance(warning, Mapping):
        return str(warning.get("message") or warning.get("code") or dict(warning))
    return str(warning)
