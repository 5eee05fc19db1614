"""The result table: what stands in which row and column, and how it reads."""

import csv
from pathlib import Path
from typing import Any

import pytest
from nmtune_client import Report
from nmtune_client._show import plain as _text


def test_rows_are_id_then_ood_then_their_mean(report_json: dict[str, Any]) -> None:
    rows = Report.from_json(report_json).table()
    assert [row.title for row in rows] == ["ID test", "OOD hwu", "OOD snips", "mean OOD"]
    assert [row.kind for row in rows] == ["id", "ood", "ood", "ood_mean"]
    assert [row.n_rows for row in rows] == [810, 4281, 1600, None]
    assert rows[0].accuracy == {"linear_probe": 0.9728, "mlp": 0.9654, "nmtune": 0.9691}
    assert rows[3].accuracy["nmtune"] == pytest.approx(0.90)
    assert rows[3].macro_f1["nmtune"] == pytest.approx(0.89)
    assert (rows[1].sve_before, rows[1].sve_after) == (4.5, 4.75)
    assert (rows[1].lsvr_before, rows[1].lsvr_after) == (2.0, 2.5)


def test_text_is_aligned_and_not_too_wide(report_json: dict[str, Any]) -> None:
    text = Report.from_json(report_json).text(full=True)
    assert text.splitlines() == [
        "intents (job_1): method nmtune, dataset clinc, 2 classes, 384 columns",
        "",
        "Use NMTune: it gains 1.9 points out of domain.",
        "",
        "accuracy % (macro-F1 %)  rows  linear probe           MLP        NMTune",
        "ID test                   810  97.3* (96.3)  96.5  (95.5)  96.9  (95.9)",
        "OOD hwu                  4281  84.8  (83.8)  84.0  (83.0)  86.0* (85.0)",
        "OOD snips                1600  91.4  (90.4)  91.0  (90.0)  94.0* (93.0)",
        "mean OOD                       88.1  (87.1)  87.5  (86.5)  90.0* (89.0)",
        "* best accuracy of the row",
        "",
        "spectrum, raw -> tuned             SVE                    LSVR",
        "ID test                 4.500 -> 4.750  +0.250  2.000 -> 2.500  +0.500",
        "OOD hwu                 4.500 -> 4.750  +0.250  2.000 -> 2.500  +0.500",
        "OOD snips               4.500 -> 4.750  +0.250  2.000 -> 2.500  +0.500",
        "",
        "- Against the linear probe, NMTune gains.",
        "- SVE rises.",
        "",
        "Warning: The class b has 3 rows.",
    ]


def test_long_words_do_not_break_the_width(report_json: dict[str, Any]) -> None:
    long_split = "ood/" + "x" * 64
    for candidate in report_json["candidates"].values():
        candidate["metrics"][long_split] = candidate["metrics"]["test"]
    report_json["spectra"]["raw"][long_split] = report_json["spectra"]["raw"]["test"]
    report_json["spectra"]["tuned"][long_split] = report_json["spectra"]["tuned"]["test"]
    report_json["verdict"]["sentences"] = ["word " * 80]
    report_json["dataset"]["name"] = "n" * 64
    for full in (False, True):
        lines = Report.from_json(report_json).text(full=full).splitlines()
        assert max(map(len, lines)) <= _text.WIDTH
        assert any("..." in line for line in lines)


def test_candidates_of_other_methods_and_newer_servers(report_json: dict[str, Any]) -> None:
    report_json["candidates"]["gce"] = report_json["candidates"].pop("nmtune")
    report = Report.from_json(report_json)
    assert report.candidates == ("linear_probe", "mlp", "gce")
    assert "gce" in str(report)
    assert report.metrics("gce", "test")["accuracy"] == 0.9691


def test_reports_of_auto_show_the_baselines_then_all_candidates(
    report_json: dict[str, Any],
) -> None:
    nmtune = report_json["candidates"]["nmtune"]
    extra = ("whitened_probe", "mlp_ensemble", "auto", "nmtune_without_consistency")
    report_json["candidates"] |= dict.fromkeys(extra, nmtune)
    report_json |= {
        "method": "auto",
        "choice": {"weights": {"whitened_probe": 1.0}, "reason": "It was level."},
        "calibration": {
            "candidate": "auto",
            "temperature": 1.5,
            "splits": {"test": {"ece_before": 0.08, "ece_after": 0.02}},
        },
        "findings": {"any": {"sentence": "Three labels look wrong."}, "other": {"n": 3}},
    }
    report = Report.from_json(report_json)
    text = report.text(full=True)
    main = next(line for line in text.splitlines() if line.startswith("accuracy %"))
    assert [word for word in ("MLP", "NMTune", "auto") if word in main] == ["MLP", "NMTune", "auto"]
    assert "whitened" not in main
    assert "whitened probe" in text
    assert "NMTune, no consistency" in text
    assert "ID test 8.0 -> 2.0" in text
    assert "It was level." in text
    assert "Three labels look wrong." in text
    assert max(map(len, text.splitlines())) <= _text.WIDTH
    assert report.choice == report_json["choice"]
    assert report.calibration == report_json["calibration"]


def test_per_class_figures_are_a_table(report_json: dict[str, Any]) -> None:
    report_json["candidates"]["mlp"]["metrics"]["test"]["per_class"] = [
        {"name": "a", "support": 12, "precision": 0.5, "recall": 0.25, "f1": 1 / 3}
    ]
    report = Report.from_json(report_json)
    assert report.per_class("mlp", "test")[0]["support"] == 12
    assert report.per_class_text("mlp", "test").splitlines()[1].split() == [
        "a",
        "12",
        "50.0",
        "25.0",
        "33.3",
    ]


def test_single_candidate_without_held_out_rows_has_no_table(report_json: dict[str, Any]) -> None:
    probe = report_json["candidates"]["linear_probe"]
    probe["metrics"] = {"train": probe["metrics"]["train"]}
    report_json["candidates"] = {"linear_probe": probe}
    report = Report.from_json(report_json)
    assert report.table() == ()
    for text in (str(report), report.text(full=True)):
        assert report.verdict.summary[:12] in text
        assert "accuracy, %" not in text
        assert "*" not in text


def test_mean_is_not_taken_over_other_splits_than_the_others(report_json: dict[str, Any]) -> None:
    del report_json["candidates"]["mlp"]["metrics"]["ood/hwu"]
    rows = Report.from_json(report_json).table()
    assert set(rows[-1].accuracy) == {"linear_probe", "nmtune"}
    assert " - " in str(Report.from_json(report_json))


def test_report_of_bare_candidates_still_reads() -> None:
    report = Report.from_json({"candidates": {"nmtune": {}}})
    assert (report.table(), str(report.verdict), report.warnings) == ((), "", ())
    assert str(report)
    with pytest.raises(ValueError, match="no candidates"):
        Report.from_json({"status": "ok"})


def test_verdict_is_one_text(report_json: dict[str, Any]) -> None:
    verdict = Report.from_json(report_json).verdict
    assert (verdict.best_id, verdict.best_ood) == ("linear_probe", "nmtune")
    assert str(verdict).startswith("Use NMTune: it gains")
    assert str(verdict).endswith("SVE rises.")


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(None, ""), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (7043160, "6.7 MiB")],
)
def test_sizes_read_well(n_bytes: int | None, text: str) -> None:
    assert _text.size(n_bytes) == text


def test_durations_read_well() -> None:
    texts = [_text.duration(seconds) for seconds in (-1, 0.4, 59.6, 3599, 3600.2)]
    assert texts == ["0:00", "0:00", "1:00", "59:59", "1:00:00"]


SUSPECT = {
    "row": 4,
    "file_row": 17,
    "id": "ticket-9",
    "text": 'late, "again"\nand wrong',
    "given": "a",
    "suggested": "b",
    "given_probability": 0.125,
    "suggested_probability": 0.875,
    "score": 0.75,
}
LABELS = {
    "n_rows": 500,
    "n_suspected": 62,
    "labels_look_noisy": False,
    "expected_wrong": {"n_rows": 6.0, "low": 0.0, "high": 21.0},
    "suspected": [SUSPECT],
    "sentence": "The labels do not look noisy.",
}
ABSTENTION = {
    "threshold": 0.83,
    "splits": {
        "test": {"coverage": 0.91, "accuracy": 0.98, "accuracy_interval": [0.965, 0.989]},
        "ood/hwu": {"coverage": 0.6, "accuracy": 0.9, "accuracy_interval": [0.88, 0.92]},
    },
    "sentence": "With abstain_below=0.83 it answers 91% of the test rows.",
}
STAYED = {
    "name": "prod",
    "moved": False,
    "version": 2,
    "previous_version": 2,
    "reason": "pets@prod did not move to version 3 and still names version 2: it is worse.",
    "command": "nmtune heads alias pets prod 3",
}


def test_printed_report_leads_with_the_verdict_and_says_what_to_do(
    report_json: dict[str, Any],
) -> None:
    report_json["findings"] = {"label_errors": LABELS}
    report_json |= {"abstention": ABSTENTION, "alias": STAYED}
    report_json["verdict"]["to_publish"] = "linear_probe"
    assert str(Report.from_json(report_json)).splitlines() == [
        "intents (job_1): method nmtune, dataset clinc, 2 classes, 384 columns",
        "",
        "Use NMTune: it gains 1.9 points out of domain.",
        "pets@prod did not move to version 3 and still names version 2: it is worse.",
        "",
        "accuracy, %     ID test  OOD hwu  OOD snips  mean OOD",
        "  linear probe    97.3*    84.8       91.4      88.1",
        "  MLP             96.5     84.0       91.0      87.5",
        "> NMTune          96.9     86.0*      94.0*     90.0*",
        "* best of the column, > published",
        "",
        "- To publish linear_probe too, without training: nmtune publish job_1 linear_probe",
        "- To move the alias all the same: nmtune heads alias pets prod 3",
        "- Above 0.83 (abstain_below) it answers 91.0 % of the test rows and is right in 98.0 % "
        "of them",
        "  (96.5 % to 98.9 %).",
        "- 62 of 500 training rows are hard (about 0 to 21 wrong labels expected):",
        "  nmtune report job_1 --suspects FILE.csv",
        "",
        "Warning: The class b has 3 rows.",
        "",
        "The rest: nmtune report job_1 --full",
    ]


def test_printed_report_is_never_longer_than_it_may_be(report_json: dict[str, Any]) -> None:
    """Long verdict, many candidates, many domains, many warnings, all at once."""
    nmtune = report_json["candidates"]["nmtune"]
    names = ("whitened_probe", "robust_probe", "mlp_ensemble", "auto", "x1", "x2", "x3", "x4")
    ablations = ("nmtune_without_consistency", "nmtune_without_covariance")
    report_json["candidates"] |= dict.fromkeys((*names, *ablations), nmtune)
    for candidate in report_json["candidates"].values():
        for domain in range(12):
            candidate["metrics"][f"ood/{domain}-{'d' * 30}"] = candidate["metrics"]["test"]
    report_json["verdict"]["summary"] = "Use auto's head: it gains 1.9 points. " * 30
    report_json["verdict"]["rival"] = "x4"
    report_json["findings"] = {"label_errors": LABELS}
    report_json |= {
        "method": "auto",
        "abstention": ABSTENTION,
        "alias": STAYED | {"reason": "It stays. " * 40},
        "warnings": [
            {"code": "split_made", "message": "A test split was made."},
            *({"code": "rare", "message": f"Class {one} has few rows. " * 5} for one in range(20)),
        ],
    }
    report = Report.from_json(report_json)
    lines = str(report).splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= _text.WIDTH
    assert lines[2].startswith("Use auto's head")
    table = [line for line in lines if line[:2] in ("> ", "  ")]
    shown = {"> auto", "  linear probe", "  MLP ", "  NMTune", "  x4"}
    assert all(any(line.startswith(name) for line in table) for name in shown)
    assert any("more" in line for line in lines if line.startswith("Warning"))
    assert not any("A test split was made" in line for line in lines)
    assert "A test split was made" in report.text(full=True)
    assert "Class 19 has few rows" in report.text(full=True)


def test_suspects_carry_the_rows_of_the_users_file(
    report_json: dict[str, Any], tmp_path: Path
) -> None:
    report_json["findings"] = {"label_errors": LABELS}
    report = Report.from_json(report_json)
    (suspect,) = report.suspects
    assert (suspect.file_row, suspect.id, suspect.score) == (17, "ticket-9", 0.75)
    path = report.suspects_csv(tmp_path / "suspects.csv")
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {
                "file_row": "17",
                "id": "ticket-9",
                "text": 'late, "again"\nand wrong',
                "given": "a",
                "suggested": "b",
                "score": "0.750000",
            }
        ]


def test_reports_of_earlier_servers_are_shown(report_json: dict[str, Any], tmp_path: Path) -> None:
    """Their suspects have no row of a file, and nothing is said that they do not hold."""
    old = {key: value for key, value in SUSPECT.items() if key not in ("file_row", "id", "text")}
    del old["score"]
    report_json["findings"] = {
        "label_errors": {"n_rows": 500, "n_suspected": 62, "suspected": [old], "sentence": "62."}
    }
    report = Report.from_json(report_json)
    (suspect,) = report.suspects
    assert (suspect.row, suspect.file_row, suspect.id, suspect.score) == (4, None, None, 0.75)
    assert "62 of 500 training rows are doubtful: nmtune report job_1" in str(report)
    assert report.suspects_csv(tmp_path / "s.csv").read_text().splitlines()[1] == ",,,a,b,0.750000"
    assert (report.alias, report.abstention, report.verdict.advises_against) == (None, None, None)
    assert str(report).splitlines()[2] == "Use NMTune: it gains 1.9 points out of domain."
