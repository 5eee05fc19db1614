"""Fetch a report, and its page at once or when it is asked for."""

from nmtune_client._async.concurrency import on_demand
from nmtune_client._async.sender import AsyncSender
from nmtune_client._jobs.calls import get_report, get_report_page
from nmtune_client._report.report import Report


async def fetched(sender: AsyncSender, job_id: str, *, html: bool) -> Report:
    """The report of a job, with its page already if `html` says so."""

    async def page() -> str:
        return await sender.send(get_report_page(job_id))

    report = await sender.send(get_report(job_id))
    return report.with_page(await page() if html else on_demand(page))
