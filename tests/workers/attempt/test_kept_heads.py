"""The heads of the other candidates: kept by a job, each as if the job had published it."""

import pytest

from nmtune import Head
from store import job_files
from store.jobs import Job
from store.registry import candidates, heads
from store.registry.heads import HeadVersion
from tests.workers.workplace import SPLITS, OpenWorkplace, Workplace

CONFIG = {"epochs": 3, "seed": 3}
WITHOUT_VALIDATION = {name: n_rows for name, n_rows in SPLITS.items() if name != "validation"}


@pytest.fixture(scope="module")
def place(open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return open_workplace(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module", params=["validation", "none"])
def splits(request: pytest.FixtureRequest) -> dict[str, int]:
    """With rows held out for every candidate, and with none for those that cross-validate not."""
    return SPLITS if request.param == "validation" else WITHOUT_VALIDATION


@pytest.fixture(scope="module")
def trained(place: Workplace, splits: dict[str, int]) -> tuple[Job, Job]:
    """Two jobs that train the same matched MLP: one to compare with, the other to publish it."""
    dataset = place.add_dataset(splits)
    ended = [
        place.run(place.submit(CONFIG, method=method, dataset=dataset))
        for method in ("nmtune", "mlp")
    ]
    assert [one.status for one in ended if one] == ["succeeded"] * 2
    nmtune, mlp = ended
    assert nmtune is not None
    assert mlp is not None
    return nmtune, mlp


def publish(place: Workplace, job: Job, candidate: str) -> HeadVersion:
    with place.store.database.begin() as tx:
        return candidates.publish(tx, job, place.report(job), candidate).version


def own(place: Workplace, job: Job) -> HeadVersion:
    with place.store.database.read() as tx:
        return heads.version(tx, "default", job.head_name or "", job.head_version or 0)


def test_a_kept_head_is_byte_for_byte_what_its_own_job_publishes(
    place: Workplace, trained: tuple[Job, Job]
) -> None:
    compared, itself = trained
    made, expected = publish(place, compared, "mlp"), own(place, itself)
    assert made.sha256 == expected.sha256
    for name in ("size_bytes", "method", "config", "metrics", "n_parameters", "classes"):
        assert getattr(made, name) == getattr(expected, name), name
    assert made.lineage == expected.lineage | {"job_method": "nmtune"}
    assert made.lineage["machine"]["python_version"].startswith("3.")
    assert made.lineage["machine"]["platform"]


def test_every_other_candidate_is_kept_and_knows_when_to_be_trusted(
    place: Workplace, trained: tuple[Job, Job], splits: dict[str, int]
) -> None:
    job, _ = trained
    others = set(place.report(job)["candidates"]) - {"nmtune"}
    assert others == {"linear_probe", "mlp"}
    with place.store.database.read() as tx:
        kept = {one: job_files.get(tx, "default", job.id, f"heads/{one}") for one in others}
    for name, file in kept.items():
        data = place.store.artifacts.get_bytes("default", file.sha256)
        head = Head.from_bytes(data)
        assert len(data) == file.size_bytes
        assert head.self_test is not None
        assert head.knowledge is not None
        assert head.knowledge.ood is not None
        has_held_out = name == "linear_probe" or "validation" in splits
        assert (head.knowledge.conformal is not None) == has_held_out


def test_the_verdict_names_the_command_with_the_jobs_id(
    place: Workplace, trained: tuple[Job, Job]
) -> None:
    job, _ = trained
    verdict = place.report(job)["verdict"]
    command = f"`nmtune publish {job.id} {verdict['to_publish']}`"
    assert (command in verdict["summary"]) == (verdict["to_publish"] is not None)
