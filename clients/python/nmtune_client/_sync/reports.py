# Written by generate_sync.py out of _async/reports.py: edit that file, then run the script.
"""Fetch a report, and its page at once or when it is asked for."""

from nmtune_client._jobs.calls import get_report, get_report_page
from nmtune_client._report.report import Report
from nmtune_client._sync.concurrency import on_demand
from nmtune_client._sync.sender import Sender


def fetched(sender: Sender, job_id: str, *, html: bool) -> Report:
    """The report of a job, with its page already if `html` says so."""

    def page() -> str:
        return sender.send(get_report_page(job_id))

    report = sender.send(get_report(job_id))
    return report.with_page(page() if html else on_demand(page))
