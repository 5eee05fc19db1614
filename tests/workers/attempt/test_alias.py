"""A job's alias moves with its head unless the verdict advises against that: real trainings."""

from typing import Any

import pytest

from store import transitions
from store.errors import LeaseLost, NotFound
from store.jobs import Job
from store.registry import heads
from tests.store.made_rows import new_head
from tests.workers.workplace import Workplace

GOOD = {"l2": 1.0}
POOR = {"epochs": 1, "max_steps": 1, "learning_rate": 1e-8, "l2": 0.01}
"""NMTune that is hardly trained: far worse than the linear probe."""


def named_by(workplace: Workplace, alias: str = "prod") -> int | None:
    with workplace.store.database.read() as tx:
        try:
            return heads.resolve(tx, "default", f"pets@{alias}").version
        except NotFound:
            return None


def ended(workplace: Workplace, config: dict[str, Any], **given: Any) -> Job:
    job = workplace.submit(config, alias="prod", **given)
    workplace.run(job)
    found = workplace.read(job)
    assert found.status == "succeeded"
    return found


def test_alias_stays_where_the_verdict_advises_against_the_head(workplace: Workplace) -> None:
    first = ended(workplace, GOOD, method="linear_probe")
    assert named_by(workplace) == 1
    assert first.alias_outcome is not None
    assert first.alias_outcome["reason"] == "pets@prod is new and names version 1."

    job = ended(workplace, POOR, method="nmtune")
    verdict = workplace.report(job)["verdict"]
    assert verdict["summary"].startswith("Use the linear probe: against it, NMTune loses")
    assert (verdict["recommended"], verdict["advises_against"]) == ("linear_probe", True)
    assert named_by(workplace) == 1
    assert job.head_version == 2
    assert job.alias_outcome == {
        "name": "prod",
        "moved": False,
        "version": 1,
        "previous_version": 1,
        "reason": "pets@prod did not move to version 2 and still names version 1: the report "
        'advises against this head ("Use the linear probe").',
        "command": "nmtune heads alias pets prod 2",
    }
    assert workplace.events(job)[-1].data["alias"] == job.alias_outcome

    always = ended(workplace, POOR, method="nmtune", alias_always=True)
    assert workplace.report(always)["verdict"]["advises_against"] is True
    assert named_by(workplace) == 3
    assert always.alias_outcome is not None
    assert always.alias_outcome["reason"] == "pets@prod moved from version 1 to version 3."


def test_new_alias_is_made_and_what_the_verdict_says_is_told(workplace: Workplace) -> None:
    """Nobody was served by it before; the next head that is advised against does not get it."""
    job = ended(workplace, POOR, method="nmtune")
    assert workplace.report(job)["verdict"]["advises_against"] is True
    assert named_by(workplace) == 1
    assert job.alias_outcome is not None
    assert (job.alias_outcome["moved"], job.alias_outcome["command"]) == (True, None)
    assert job.alias_outcome["reason"] == (
        "pets@prod is new, so it names version 1 although the report advises against this head "
        '("Use the linear probe").'
    )


@pytest.mark.parametrize("advice", [None, "it is worse"])
def test_publishing_twice_changes_no_alias(workplace: Workplace, advice: str | None) -> None:
    first = workplace.submit(GOOD, method="linear_probe", alias="prod")
    publish(workplace, first, None)
    job = workplace.submit(GOOD, method="linear_probe", alias="prod")
    claimed = publish(workplace, job, advice)
    outcome = workplace.read(job).alias_outcome
    with workplace.store.database.begin() as tx, pytest.raises(LeaseLost):
        transitions.succeed(tx, claimed, report_sha256="e" * 64, head=new_head(alias="prod"))
    assert named_by(workplace) == (1 if advice else 2)
    assert workplace.read(job).alias_outcome == outcome
    assert outcome is not None
    assert outcome["moved"] is (advice is None)


def publish(workplace: Workplace, job: Job, advice: str | None) -> Job:
    """The job as it was claimed; it has published since."""
    head = new_head(alias="prod", advised_against_because=advice)
    with workplace.store.database.begin() as tx:
        claimed = transitions.claim(tx, job.id, worker="w", lease_seconds=60)
        assert claimed is not None
        transitions.succeed(tx, claimed, report_sha256="e" * 64, head=head)
    return claimed
