"""Progress: the fraction covers the whole job and the time left comes from measured epochs."""

from nmtune import EpochReport, resolve
from workers.child.progress import Workload


def workload(epochs: int = 10) -> Workload:
    configs = resolve(method="nmtune", config={"epochs": epochs}).configs
    return Workload(configs, n_columns=64, n_classes=4, n_rows=1000, rows_ratio=1.5)


def report(epoch: int, n_epochs: int, *, seconds: float = 1.0) -> EpochReport:
    return EpochReport(
        epoch=epoch,
        n_epochs=n_epochs,
        losses={"total": 1.0},
        learning_rate=0.1,
        l2=None,
        validation=None,
        seconds=seconds,
    )


def test_fraction_never_falls_and_leaves_room_for_the_evaluation() -> None:
    load = workload()
    told = [load.progress("linear_probe", report(epoch, 13)) for epoch in range(1, 14)]
    told += [load.progress("mlp", report(epoch, 10)) for epoch in range(1, 11)]
    told += [load.progress("nmtune", report(epoch, 10)) for epoch in range(1, 11)]
    fractions = [one["fraction"] for one in told]
    assert fractions == sorted(fractions)
    assert 0.8 < fractions[-1] < 1


def test_labels_of_new_domains_that_are_to_be_tried_count_as_work_left() -> None:
    configs = resolve(method="nmtune").configs
    told = [
        Workload(
            configs, n_columns=64, n_classes=4, n_rows=1000, rows_ratio=1.5, tries_new_domains=tries
        ).progress("mlp", report(1, 30))
        for tries in (False, True)
    ]
    left = [one["eta_seconds"] for one in told]
    assert 1.05 * left[0] < left[1] < 1.15 * left[0]


def test_time_left_is_that_of_the_epochs_left() -> None:
    """5 of its own epochs of 2 s, 10 of NMTune's at 1.3 times the cost, and the evaluation."""
    load = workload()
    load.skip("linear_probe")
    told = [load.progress("mlp", report(epoch, 10, seconds=2)) for epoch in range(1, 6)]
    trained = 5 * 2 + 10 * 2 * 1.3
    assert trained < told[-1]["eta_seconds"] < 1.2 * trained


def test_linear_probe_says_nothing_about_the_time_of_the_others() -> None:
    load = workload()
    assert load.progress("linear_probe", report(1, 8))["eta_seconds"] is None
    assert load.progress("mlp", report(1, 10))["eta_seconds"] > 0


def test_linear_probe_alone_tells_its_own_time() -> None:
    configs = resolve(method="linear_probe").configs
    load = Workload(configs, n_columns=64, n_classes=4, n_rows=1000, rows_ratio=1.5)
    assert 7 <= load.progress("linear_probe", report(1, 8))["eta_seconds"] < 8


def test_candidate_of_an_earlier_attempt_counts_as_done() -> None:
    fresh, resumed = workload(), workload()
    resumed.skip("linear_probe")
    resumed.skip("mlp")
    first = fresh.progress("nmtune", report(1, 10))["fraction"]
    assert resumed.progress("nmtune", report(1, 10))["fraction"] > first + 0.3


def test_progress_says_what_the_api_promises() -> None:
    told = workload().progress("mlp", report(1, 10))
    assert set(told) == {
        "candidate",
        "epoch",
        "n_epochs",
        "losses",
        "validation",
        "fraction",
        "eta_seconds",
    }


def test_longer_job_has_a_smaller_share_of_evaluation() -> None:
    last = []
    for epochs in (1, 100):
        load = workload(epochs)
        load.skip("linear_probe")
        load.skip("mlp")
        last.append(load.progress("nmtune", report(epochs, epochs))["fraction"])
    assert last[0] < last[1] - 0.02
    assert last[1] < 1


def test_candidate_that_is_left_out_is_no_work() -> None:
    configs = resolve(config={"epochs": 10}).configs
    fractions = []
    for left_out in ((), ("robust_probe",)):
        load = Workload(configs, n_columns=64, n_classes=4, n_rows=1000, rows_ratio=1.5)
        for name in left_out:
            load.leave_out(name)
        fractions.append(load.progress("linear_probe", report(6, 6))["fraction"])
    assert fractions[1] > fractions[0]


def test_ensemble_that_stops_early_is_done() -> None:
    configs = resolve(config={"epochs": 10}).configs
    load = Workload(configs, n_columns=64, n_classes=4, n_rows=1000, rows_ratio=1.5)
    for name in configs:
        if name != "mlp_ensemble":
            load.skip(name)
    first = load.progress("mlp_ensemble", report(1, 60))
    last = load.progress("mlp_ensemble", report(12, 12))
    assert first["fraction"] < last["fraction"]
    assert last["fraction"] > 0.8


def test_folded_nmtune_takes_three_times_as_long_as_its_mlp() -> None:
    configs = resolve().configs
    load = Workload(configs, n_columns=64, n_classes=4, n_rows=1000, rows_ratio=0.0)
    for name in configs:
        if name not in {"mlp", "nmtune"}:
            load.skip(name)
    left = load.progress("mlp", report(30, 30, seconds=2))["eta_seconds"]
    assert left == 30 * 2 * 3


def test_trimmed_probe_is_twice_the_folds() -> None:
    configs = resolve().configs
    fractions = {}
    for left_out in ("robust_probe", "trimmed_probe"):
        load = Workload(configs, n_columns=64, n_classes=4, n_rows=1000, rows_ratio=1.5)
        load.leave_out(left_out)
        fractions[left_out] = load.progress("linear_probe", report(6, 6))["fraction"]
    assert fractions["trimmed_probe"] > fractions["robust_probe"]
