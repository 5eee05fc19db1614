"""The client against a real server that trains: reports with types, and scikit-learn's tools."""

import doctest
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import nmtune_client.sklearn
import numpy as np
import pytest
from nmtune_client import Client, Job, NotFoundError, Report
from nmtune_client._cli.main import main
from nmtune_client._report.record import Record
from nmtune_client.sklearn import TEMPORARY, RemoteClassifier, delete_temporary_heads
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.pages.reports import HOSTILE, Page
from tests.support.processes import Process, Site

pytestmark = pytest.mark.slow

CLASSES = np.array(["cat", "dog", "owl"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    here = Site(tmp_path_factory.mktemp("real-jobs"))
    try:
        yield here.start()
    finally:
        here.close()
    assert not here.complaints()


@pytest.fixture
def client(house: Process, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    assert house.url is not None
    monkeypatch.setenv("NMTUNE_URL", house.url)
    with Client() as made:
        yield made


def blobs(n_rows: int, *, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    indices = rng.permutation(np.arange(n_rows) % 3)
    centres = np.eye(3, 6) * 2.5
    return centres[indices] + shift + rng.normal(size=(n_rows, 6)), CLASSES[indices]


@pytest.fixture(scope="module")
def job(house: Process) -> Job:
    """A job with every analysis, on rows with all that a report can find."""
    x, y = blobs(400, seed=1)
    y[:20] = np.roll(y[:20], 1)  # wrong labels
    test = blobs(120, seed=2)
    test[0][:5] = x[:5]  # near-duplicates
    parts = [(x, y), test, blobs(90, seed=3, shift=0.7), blobs(90, seed=4, shift=-0.7)]
    names = ["train", "test", "ood/paint", "ood/sketch"]
    splits = [name for name, part in zip(names, parts, strict=True) for _ in part[1]]
    labels = [label for part in parts for label in part[1].tolist()]
    return house.client.jobs.create(
        name="all",
        embeddings=np.concatenate([part[0] for part in parts]),
        labels=[HOSTILE[1] if label == "owl" else label for label in labels],
        splits=splits,
        config={"epochs": 2},
        analyses=["ablation", "learning_curve"],
        alias="prod",
    ).wait(300)


def unread(part: object, at: str) -> list[str]:
    """The members of a report that no attribute has."""
    if isinstance(part, dict):
        return [one for name, value in part.items() for one in unread(value, f"{at}.{name}")]
    if isinstance(part, tuple):
        return [one for value in part for one in unread(value, at)]
    if not isinstance(part, Record):
        return []
    known = {one.metadata.get("member", one.name) for one in fields(part) if one.name != "raw"}
    missing = [f"{at}.{name}" for name in part.keys() - known]
    for one in fields(part):
        if one.name != "raw":
            missing += unread(getattr(part, one.name), f"{at}.{one.name}")
    return missing


def test_every_member_of_a_report_has_an_attribute(job: Job) -> None:
    report = job.report()
    parts = {
        name: getattr(report, name)
        for name in (
            *("dataset", "choice", "spectra", "calibration", "abstention", "comparison"),
            *("findings", "environment", "alias", "encoders"),
        )
    }
    parts["candidates"] = {name: report.candidate(name) for name in report.candidates}
    found = {one for name, part in parts.items() for one in unread(part, name)}
    assert found == {"findings.label_errors.suspected"}  # Report.suspects
    others = {"version", "job_id", "name", "method", "missing", "verdict", "warnings"}
    assert report.raw.keys() == parts.keys() | others
    assert report.findings.label_errors is not None
    assert report.findings.label_errors.n_suspected == len(report.suspects)
    assert report.findings.trust is not None
    assert report.findings.trust.conformal is not None
    assert report.findings.class_spectra is not None
    assert report.findings.class_spectra.untuned is not None
    assert len(report.findings.class_spectra.untuned.per_class) == 3


def test_a_report_as_frames_has_the_figures_of_the_report(job: Job) -> None:
    report = job.report()
    frame = report.to_pandas()
    assert len(frame[frame.metric == "accuracy"]) == len(report.candidates) * 5  # a mean too
    for row in frame[(frame.metric == "accuracy") & frame.kind.isin(["id", "ood"])].itertuples():
        assert row.value == report.metrics(row.candidate, row.split).accuracy
        assert 0 <= row.low <= row.value <= row.high <= 1
    assert set(frame[frame.published].candidate) == {report.method}
    pairs = report.to_pandas("comparison")
    assert len(pairs) == len(report.comparison)
    assert (pairs.low <= pairs.accuracy_difference).all()


def test_the_page_of_a_report_is_one_safe_file(
    client: Client, job: Job, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    report = client.jobs.report(job.id)
    written = report.save_html(tmp_path / "report.html").read_bytes()
    html = written.decode()
    page = Page(html)
    assert html.lower().startswith("<!doctype html>")
    assert " ".join(report.verdict.summary.split()) in page.text
    assert HOSTILE[1] in page.text
    assert HOSTILE[1] not in html
    assert not page.named("img")
    assert not [name for name in ("link", "iframe", "object") if page.named(name)]
    assert all(script.get("src") is None for script in page.named("script"))
    assert main(["report", job.id, "--html", "-"]) == 0
    assert capsysbinary.readouterr().out == written


def test_the_examples_of_the_documentation_run(client: Client) -> None:
    delete_temporary_heads()
    found = doctest.testmod(nmtune_client.sklearn)
    assert (found.failed, found.attempted > 10) == (0, True)


def test_a_remote_classifier_is_scored_searched_and_piped(client: Client) -> None:
    x, y = blobs(150, seed=5)
    pipeline = make_pipeline(StandardScaler(), RemoteClassifier(method="linear_probe"))
    scores = cross_val_score(pipeline, x, y, cv=3, error_score="raise")
    assert scores.min() > 0.8
    search = GridSearchCV(
        RemoteClassifier(method="linear_probe"), {"config": [None, {"l2": 100.0}]}, cv=2
    ).fit(x, y)
    assert search.best_estimator_.predict(x[:3]).shape == (3,)
    kept = {dataset.name for dataset in client.datasets.list()}
    assert not [name for name in kept if name.startswith(TEMPORARY)]
    names = delete_temporary_heads()
    assert len(names) == 3 + 2 * 2 + 1
    with pytest.raises(NotFoundError):
        search.predict(x)
    assert not [head for head in client.heads.list() if head.name.startswith(TEMPORARY)]


def test_a_named_remote_classifier_is_the_server_s_head(client: Client) -> None:
    x, indices = blobs(120, seed=6)
    y = np.searchsorted(CLASSES, indices) * 10  # whole numbers, of which 0 is one
    fitted = RemoteClassifier("named", method="linear_probe", alias="prod").fit(x, y)
    assert fitted.head_ == "named@1"
    assert fitted.classes_.tolist() == [0, 10, 20]
    np.testing.assert_array_equal(
        fitted.predict_proba(x), client.predict("named@prod", x).probabilities
    )
    assert fitted.score(x, y) > 0.8
    report = fitted.report()
    assert isinstance(report, Report)
    assert report._repr_html_() is not None, "the page is fetched though its client is closed"
    again = clone(fitted).fit(x, y)
    assert again.head_ == "named@2"
    fitted.delete()
    fitted.delete()
    assert [one.version for one in client.heads.get("named").versions] == [2]


def test_tune_and_predict_on_the_command_line(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = blobs(120, seed=7)
    path = tmp_path / "by-hand.npz"
    np.savez(path, train_x=x.astype(np.float32), train_y=y)
    large = ["--method", "nmtune", "--set", "k=500", "--set", "batch_size=4096"]
    large += ["--analyse", "learning_curve"]
    assert main(["tune", str(path), *large, "--plan"]) == 0, "what suits the file is not refused"
    assert main(["tune", str(path), "--method", "linear_probe"]) == 0
    assert "by-hand@1" in capsys.readouterr().err
    np.save(tmp_path / "new.npy", x[:4].astype(np.float32))
    assert main(["predict", "by-hand", str(tmp_path / "new.npy"), "--top-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[1] for line in lines] == client.predict(
        "by-hand", x[:4]
    ).labels.tolist()
