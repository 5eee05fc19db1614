"""Domains called in any script come through a job to the report and its texts as they are."""

import json

from nmtune_client import Report

from service.export.card import model_card
from store.registry import heads
from tests.workers.workplace import Workplace

DOMAINS = ("ood/\u6771\u4eac", "ood/New York, NY", "ood/a/b: 100%|x")
SPLITS = {"train": 60, "test": 30} | dict.fromkeys(DOMAINS, 30)


def test_names_of_domains_are_kept(workplace: Workplace) -> None:
    dataset = workplace.add_dataset(SPLITS)
    job = workplace.submit({"seed": 0}, method="linear_probe", dataset=dataset)
    done = workplace.run(job)
    assert done is not None
    assert done.status == "succeeded", done.error
    with workplace.store.database.read() as tx:
        version = heads.resolve(tx, "default", "pets@1")
    assert set(version.metrics) == set(SPLITS)
    report = workplace.report(done)
    assert {row["split"] for row in report["comparison"]} <= {*SPLITS, "ood"}
    text = str(Report.from_json(report))
    card = model_card(version, report, temperature=1, stored_rows=0)
    for split in SPLITS:
        assert f"split: {json.dumps(split)}" in card or split == "train"
        if split.startswith("ood/"):
            assert f"OOD {split.removeprefix('ood/')}" in text
            assert split.replace("|", r"\|") in card
