"""The pages that list settings, routes and codes list all of them, and no others."""

import re
from pathlib import Path

import pytest

from docs.generate.__main__ import FOLDER, PAGES
from nmtune import TuneConfig
from service.app import create_app
from service.settings import ServiceSettings
from standalone.logs import LogSettings
from store.queue import LocalQueue
from store.settings import StoreSettings
from store.store import Store
from workers.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
JOB_CONFIG = (ROOT / "docs/reference/job-config.md").read_text()
API = (ROOT / "docs/reference/api.md").read_text()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "run `make docs-reference`"


def test_every_setting_is_documented() -> None:
    page = (FOLDER / "settings.md").read_text()
    documented = set(re.findall(r"^\| `NMTUNE_([A-Z0-9_]+)` ", page, re.MULTILINE))
    known = {
        name.upper()
        for settings in (StoreSettings, ServiceSettings, WorkerSettings, LogSettings)
        for name in settings.model_fields
    }
    assert documented == known


def test_every_field_of_a_jobs_config_is_documented() -> None:
    table = JOB_CONFIG.partition("| field | `paper` |")[2]
    first_cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    documented = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert documented == set(TuneConfig().to_dict()) - {"preset"}


def test_every_route_is_documented(tmp_path: Path) -> None:
    settings = ServiceSettings(data_dir=tmp_path)
    store = Store.open(settings)
    paths = create_app(settings, store=store, queue=LocalQueue()).openapi()["paths"]
    store.close()
    known = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    plain = re.sub(r"\{[^}]*\}", "{}", " ".join(sorted(known)))
    methods = "GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE"
    documented = set(re.findall(rf"`((?:{methods}) [^`?]+)", API.partition("## ")[0]))
    assert sorted(re.sub(r"\{[^}]*\}", "{}", one) for one in documented) == sorted(
        re.findall(r"[A-Z]+ \S+", plain)
    )


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("*.md")))
def test_links_of_the_pages_at_the_top_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", (ROOT / page).read_text()):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("CONTRIBUTING.md", "## Where does my change go"),
        ("docs/inside/architecture.md", "## Where is what"),
    ],
)
def test_every_path_of_a_table_of_places_is_there(page: str, heading: str) -> None:
    section = (ROOT / page).read_text().partition(heading)[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    paths = [one for row in rows for one in re.findall(r"`([\w.-]+(?:/[\w.-]+)*/?)`", row)]
    named = [path for path in paths if "/" in path or path.endswith((".py", ".yml"))]
    assert len(rows) > 15
    assert len(named) >= len(rows)
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing, f"{page} sends readers to {missing}"
