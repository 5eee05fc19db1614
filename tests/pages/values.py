"""Values as the API gives them, for pages to show."""

import copy
from typing import Any

from service.datasets.schemas import Dataset
from service.heads.schemas import HeadVersion
from service.jobs.plan import Plan
from service.jobs.schemas import Job
from tests.pages.reports import Page
from tests.service.in_process import example


def a_job(**changes: Any) -> dict[str, Any]:
    """A running job."""
    job: dict[str, Any] = copy.deepcopy(example(Job))
    return job | changes


def progress(candidate: str, epoch: int, **losses: float) -> dict[str, Any]:
    """The event of an epoch."""
    data = {"candidate": candidate, "epoch": epoch, "n_epochs": 10, "losses": losses}
    return an_event("job.progress", **data)


def an_event(kind: str, **data: Any) -> dict[str, Any]:
    return {"id": "evt_000007", "type": kind, "data": data, "created_at": "2026-11-24T03:21:47Z"}


def a_version(number: int, **changes: Any) -> dict[str, Any]:
    """A version of the head pets, better by a point with each number."""
    version: dict[str, Any] = copy.deepcopy(example(HeadVersion))
    accuracies = {"test": 0.8 + number / 100, "ood/sketch": 0.7 - number / 100}
    metrics = {split: {"n_rows": 100, "accuracy": one} for split, one in accuracies.items()}
    return version | {"version": number, "aliases": [], "metrics": metrics} | changes


def a_head(n_versions: int = 3, **aliases: int) -> dict[str, Any]:
    """The head pets with so many versions."""
    named = {number: [one for one in aliases if aliases[one] == number] for number in range(99)}
    return {
        "name": "pets",
        "latest_version": n_versions,
        "aliases": aliases,
        "versions": [a_version(one, aliases=named[one]) for one in range(n_versions, 0, -1)],
        "created_at": "2026-11-24T03:22:10Z",
    }


def a_dataset(**changes: Any) -> dict[str, Any]:
    dataset: dict[str, Any] = copy.deepcopy(example(Dataset))
    return dataset | changes


def a_plan(**changes: Any) -> dict[str, Any]:
    plan: dict[str, Any] = copy.deepcopy(example(Plan))
    return plan | changes


def harmless(html: str) -> Page:
    """The page, in which nothing of the values has become an element or a handler."""
    page = Page(html)
    assert not page.named("img")
    assert all(one.get("src") or one.get("type") for one in page.named("script"))
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "\x00" not in html
    return page
