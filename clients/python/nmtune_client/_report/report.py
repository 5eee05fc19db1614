"""The report of a finished job: its values, its text, its tables, its page."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nmtune_client._http.download import check_place, downloading
from nmtune_client._http.errors import NMTuneError
from nmtune_client._report import brief, frames, text
from nmtune_client._report.data import ReportData
from nmtune_client._report.suspects import write_csv
from nmtune_client._show.reprs import Table, short

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, repr=False)
class Report(ReportData, Table):
    """What a finished job found; `raw` is all of it, `str()` the verdict and the table.

    Its parts have attributes with types (`report.choice.reason`, `report.candidate("nmtune")`);
    what a report of another version lacks is None, or empty. A notebook shows its page, or where
    the server cannot be asked for that, the text. `page` is the page, or what fetches it.
    """

    page: str | Callable[[], str] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        summary = short(str(self.verdict))
        return f"Report(job_id={self.job_id!r}, method={self.method!r}, verdict={summary})"

    def __str__(self) -> str:
        return self.text()

    _repr_pretty_ = Table._repr_pretty_  # a class's own __repr__ goes before a base's in IPython

    def text(self, *, full: bool = False, with_warnings: bool = True) -> str:
        """Plain text of at most 100 characters a line.

        The verdict, a table, what to do next and the warnings that ask for something, in 25 lines;
        with `full` all else too: every figure, the spectra, calibration, findings and sentences.
        """
        if full:
            return text.report(self, with_warnings=with_warnings)
        return brief.report(self, with_warnings=with_warnings)

    def html(self) -> str:
        """Its page, one HTML file that needs nothing else; fetched once, then kept.

        Raises the errors of a request, and RuntimeError for a report that has no page: one of
        `AsyncClient` without `html=True`, one that was read from JSON, or a copy.
        """
        return self._page

    def save_html(self, path: str | PathLike[str]) -> Path:
        """Write its page to a file, whole or not at all, in place of one that is there.

        The file has every figure, for all splits; any browser opens it, without a server. Errors
        are those of `html`, and OSError where the file cannot be written.
        """
        to = Path(path)
        with downloading(to) as part:
            part.write_text(self.html(), encoding="utf-8", newline="")
        return to

    def with_page(self, page: str | Callable[[], str] | None) -> Self:
        """The same report, with its page or what fetches it."""
        return replace(self, page=page)

    def _repr_html_(self) -> str | None:
        """The page in a frame of its own; None, for which notebooks show the text, without one."""
        try:
            page = self.html()
        except (NMTuneError, RuntimeError):
            return None
        return (
            '<iframe sandbox="allow-scripts allow-downloads" '
            f'srcdoc="{escape(page)}" width="100%" height="900"></iframe>'
        )

    @cached_property
    def _page(self) -> str:
        if self.page is None:
            raise RuntimeError(
                "this report has no page, and nothing to fetch it with: "
                "client.jobs.report(job_id, html=True) gives a report that has it"
            )
        return self.page if isinstance(self.page, str) else self.page()

    def __getstate__(self) -> dict[str, Any]:
        """All but the connection that would fetch the page."""
        page = vars(self).get("_page", self.page)
        return {**vars(self), "page": page if isinstance(page, str) else None}

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
