"""The operations page, the board and the alerts speak of metrics and log events that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from service.app import create_app
from service.operate.scrape import Scrape
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from workers import metrics as worker_metrics

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/run/operations.md").read_text()
BOARD = (ROOT / "deploy" / "grafana" / "nmtune.json").read_text()
ALERTS = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
OF_ANY_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
LABELS = {"job", "instance", "le"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every metric of ours as a query names it (without _bucket, _sum, _count), with its labels."""
    settings = ServiceSettings(data_dir=tmp_path_factory.mktemp("operations"))
    store = Store.open(settings)
    try:
        scrape: Scrape = create_app(settings, store=store, queue=LocalQueue()).state.services.scrape
        of_store = list(scrape.collect())
    finally:
        store.close()
    found: dict[str, set[str]] = {}
    for family in (*REGISTRY.collect(), *of_store):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        name = f"{name}_info" if family.type == "info" else name
        found[name] = {label for sample in family.samples for label in sample.labels}
    # Absent while the database has no tables or no job runs.
    found |= {"nmtune_jobs": {"queue", "status"}, "nmtune_shortest_lease_seconds": set()}
    found["nmtune_oldest_queued_job_seconds"] = {"queue"}
    return {name: labels for name, labels in found.items() if name.startswith("nmtune_")}


def queries() -> Iterator[str]:
    for panel in json.loads(BOARD)["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    yield from re.findall(r"^ +expr: (.+)$", ALERTS, re.MULTILINE)


def names(text: str) -> set[str]:
    found = re.findall(r"\b(?:nmtune|process)_[a-z_]+\b", text)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def test_queries_name_metrics_and_labels_that_exist(samples: dict[str, set[str]]) -> None:
    n = 0
    for query in queries():
        n += 1
        assert names(query), query
        assert names(query) <= set(samples) | OF_ANY_PROCESS, query
        for selector in re.findall(r"nmtune_[a-z_]+\{([^}]*)\}", query):
            for label in re.findall(r"([a-z_]+)\s*[=!]", selector):
                assert label in LABELS | set().union(*samples.values()) | {"end", "method"}, query
    assert n > 40


def test_the_page_describes_every_metric_with_its_labels(samples: dict[str, set[str]]) -> None:
    table = PAGE.partition("| metric | labels | means |")[2].partition("\n\n")[0]
    documented = {
        name: set(filter(None, re.split(r",\s*", cells[1])))
        for line in table.splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")[1:-1]]) == 3
        for name in re.findall(r"`(nmtune_\w+)`", cells[0])
    }
    assert set(documented) == set(samples)
    for name, labels in documented.items():
        # A family without a sample yet shows no labels.
        assert labels >= samples[name] - {"le"}, name
    assert names(BOARD) | names(ALERTS) >= set(samples) - {"nmtune_database_up"}


def test_the_page_describes_every_value_of_a_label() -> None:
    for value in (*worker_metrics.STAGES, *worker_metrics.ENDS):
        assert f"`{value}`" in PAGE


def test_the_page_describes_every_alert() -> None:
    known = re.findall(r"alert: (\w+)", ALERTS)
    assert re.findall(r"^\| `(NMTune\w+)`", PAGE, re.MULTILINE) == known


def test_the_page_speaks_of_log_events_that_exist() -> None:
    source = "".join(
        path.read_text()
        for package in ("service", "workers", "store", "standalone")
        for path in (ROOT / package).rglob("*.py")
    )
    table = PAGE.partition("| event | level | says |")[2].partition("\n\n")[0]
    events = re.findall(r"`([a-z_]+\.[a-z_]+)`", table)
    assert len(events) > 10
    for event in events:
        assert f'"{event}' in source, event


def test_the_board_can_be_imported() -> None:
    """What Grafana's import needs: ids that differ, places that do not overlap, one data source."""
    board: dict[str, Any] = json.loads(BOARD)
    assert {"title", "uid", "schemaVersion", "panels", "templating"} <= set(board)
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel.get("datasource", {"uid": "${datasource}"})["uid"] == "${datasource}"
        assert panel["type"] == "row" or panel["description"]
