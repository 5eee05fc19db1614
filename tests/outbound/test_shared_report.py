"""What a bundle's report leaves out: the ids and texts of the owner's rows."""

import json

from outbound.shared_report import without_rows

ROW = {"row": 1, "file_row": 7, "id": "patient-3", "text": "secret", "given": "a", "score": 0.5}
PAIR = {"row": 1, "id": "p1", "train_row": 2, "train_id": "p2", "train_text": "secret"}


def test_ids_and_texts_of_rows_are_not_given_away() -> None:
    report = {
        "version": 2,
        "findings": {
            "label_errors": {"suspected": [ROW]},
            "near_duplicates": {"splits": {"test": {"pairs": [PAIR]}}},
        },
    }
    given = without_rows(json.dumps(report).encode())
    assert b"secret" not in given
    assert b"patient" not in given
    told = json.loads(given)
    assert told["findings"]["label_errors"]["suspected"] == [ROW | {"id": None, "text": None}]
    (pair,) = told["findings"]["near_duplicates"]["splits"]["test"]["pairs"]
    assert (pair["row"], pair["id"], pair["train_id"], pair["train_text"]) == (1, None, None, None)


def test_a_report_that_names_no_row_keeps_its_bytes() -> None:
    for report in (b"{}", b'{ "version": 1 }', b'{"findings": {"label_errors": {}}}', b"[]"):
        assert without_rows(report) == report
