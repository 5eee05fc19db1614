"""The report of a finished job: its values, its text, its tables."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from nmtune_client._http.download import check_place
from nmtune_client._report import brief, frames, text
from nmtune_client._report.data import ReportData
from nmtune_client._report.suspects import write_csv
from nmtune_client._show.reprs import Table, short

if TYPE_CHECKING:
    import pandas as pd


class Report(ReportData, Table):
    """What a finished job found; `raw` is all of it, `str()` the verdict and the table.

    Its parts have attributes with types (`report.choice.reason`, `report.candidate("nmtune")`);
    what a report of another version lacks is None, or empty.
    """

    def __repr__(self) -> str:
        summary = short(str(self.verdict))
        return f"Report(job_id={self.job_id!r}, method={self.method!r}, verdict={summary})"

    def __str__(self) -> str:
        return self.text()

    def text(self, *, full: bool = False, with_warnings: bool = True) -> str:
        """Plain text of at most 100 characters a line.

        The verdict, a table, what to do next and the warnings that ask for something, in 25 lines;
        with `full` all else too: every figure, the spectra, calibration, findings and sentences.
        """
        if full:
            return text.report(self, with_warnings=with_warnings)
        return brief.report(self, with_warnings=with_warnings)

    def per_class_text(self, candidate: str, split: str) -> str:
        """The per-class figures of one candidate on one split as a plain text table."""
        return text.per_class(self, candidate, split)

    def suspects_csv(self, path: str | PathLike[str]) -> Path:
        """Write the suspects to a UTF-8 CSV file: file_row, id, text, given, suggested, score."""
        to = Path(path)
        check_place(to)
        with to.open("w", encoding="utf-8", newline="") as file:
            write_csv(self.suspects, file)
        return to

    def to_pandas(self, table: str = "metrics") -> "pd.DataFrame":
        """Give the figures as a tidy DataFrame.

        Parameters
        ----------
        table : {"metrics", "comparison"}, default="metrics"
            ``"metrics"`` has a row for each candidate, split and metric: ``candidate``,
            ``published``, ``split``, ``kind`` (``train``, ``validation``, ``id``, ``ood`` or
            ``ood_mean``), ``metric`` (``accuracy``, ``macro_f1``, ``log_loss``, ``ece``),
            ``value``, ``low``, ``high`` and ``n_rows``. ``low`` and ``high`` are the 95 % interval
            of an accuracy on rows that the head did not learn from (Wilson 1927, unless the server
            sent one); NaN for other metrics and for means.
            ``"comparison"`` has a row for each pair of candidates and split, with the server's
            paired interval of ``accuracy_difference``: to compare two candidates read this table,
            not whether their own intervals overlap.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            Without pandas: ``pip install 'nmtune-client[pandas]'``.

        Examples
        --------
        >>> from nmtune_client import Report
        >>> found = {"metrics": {"test": {"n_rows": 100, "accuracy": 0.9, "log_loss": 0.31}}}
        >>> report = Report.from_json({"method": "mlp", "candidates": {"mlp": found}})
        >>> frame = report.to_pandas()
        >>> frame[["candidate", "split", "metric", "value", "low", "high"]].round(3)
          candidate split    metric  value    low   high
        0       mlp  test  accuracy   0.90  0.826  0.945
        1       mlp  test  log_loss   0.31    NaN    NaN
        """
        return frames.frame_of(self, table)
