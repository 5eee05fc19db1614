"""The verdict's words for constructed results: they must be true, and say what to do."""

import numpy as np
import pytest

from nmtune.report.comparison import Score, best_rival, compare_candidates
from nmtune.report.verdict import judge_job
from tests.nmtune.report.made_scores import N_ROWS, scores_of, three, verdict_on


def test_nmtune_that_gains_everywhere_is_recommended() -> None:
    verdict = verdict_on(three((800, 600), (800, 600), (850, 680)))
    assert verdict.summary == (
        "Use NMTune: against the linear probe it gains 5.0 points in domain (95 % interval +3.7 to "
        "+6.4) and gains 8.0 points out of domain (+6.4 to +9.7)."
    )
    assert (verdict.best_id, verdict.best_ood) == ("nmtune", "nmtune")


def test_nmtune_that_gains_out_of_domain_alone_is_recommended() -> None:
    summary = verdict_on(three((800, 600), (800, 600), (800, 680))).summary
    assert summary.startswith("Use NMTune: against the linear probe it shows no clear difference")
    assert "and gains 8.0 points out of domain" in summary


def test_nmtune_that_loses_makes_the_linear_probe_the_verdict() -> None:
    verdict = verdict_on(three((800, 600), (760, 590), (750, 560)))
    assert verdict.summary == (
        "Use the linear probe: against it, NMTune loses 5.0 points in domain (95 % interval -6.4 "
        "to -3.7) and loses 4.0 points out of domain (-5.3 to -2.8). This job published NMTune. "
        "`nmtune publish JOB linear_probe` publishes the linear probe too, without training again."
    )
    assert verdict.to_publish == "linear_probe"
    assert (verdict.best_id, verdict.best_ood) == ("linear_probe", "linear_probe")
    assert (verdict.recommended, verdict.advises_against) == ("linear_probe", True)


def test_no_clear_difference_keeps_the_head_and_names_the_simpler_one() -> None:
    verdict = verdict_on(three((800, 600), (801, 600), (800, 599)))
    assert verdict.summary == (
        "Keep NMTune: against the linear probe it shows no clear difference, in domain (95 % "
        "interval 0.0 to 0.0) or out of it (-0.3 to 0.0). The linear probe, which is simpler, "
        "would do as well."
    )
    assert (verdict.recommended, verdict.advises_against) == ("nmtune", False)
    assert " gains " not in " ".join(verdict.sentences)
    assert " loses " not in " ".join(verdict.sentences)


def test_head_that_is_right_where_the_probe_is_says_so() -> None:
    summary = verdict_on(three((800, 600), (700, 600), (800, 600))).summary
    assert summary.startswith(
        "Keep NMTune: against the linear probe it gets exactly the same held-out rows right. The "
        "linear probe, which is simpler, would do as well."
    )


def test_difference_that_few_rows_make_is_only_probable() -> None:
    """3 rows of difference to none: McNemar's p is 0.25."""
    summary = verdict_on(three((800, 600), (800, 600), (803, 600))).summary
    assert summary.startswith("Keep NMTune: against the linear probe it probably gains 0.3 points")
    assert "(0.0 to 0.0), but these rows are too few to confirm it." in summary


def test_probable_loss_forbids_a_recommendation() -> None:
    summary = verdict_on(three((800, 600), (800, 600), (797, 680))).summary
    assert summary.startswith(
        "A trade-off: against the linear probe, NMTune probably loses 0.3 points"
    )


def test_gain_here_and_loss_there_is_a_trade_and_no_recommendation() -> None:
    verdict = verdict_on(three((800, 600), (750, 600), (750, 680)))
    assert verdict.summary.startswith(
        "A trade-off: against the linear probe, NMTune loses 5.0 points in domain (95 % interval "
        "-6.4 to -3.7) and gains 8.0 points out of domain (+6.4 to +9.7). Choose by"
    )
    assert (verdict.best_id, verdict.best_ood) == ("linear_probe", "nmtune")


def test_mlp_that_does_as_well_is_named_beside_what_was_published() -> None:
    summary = verdict_on(three((800, 600), (850, 680), (850, 680))).summary
    assert summary.startswith("Use NMTune: against the linear probe it gains 5.0 points in domain")
    assert (
        "The matched MLP also beats the linear probe; between the two, NMTune shows no clear "
        "difference, in domain"
    ) in summary
    assert "nmtune publish" not in summary


def test_mlp_that_beats_nmtune_is_recommended_with_what_to_do() -> None:
    summary = verdict_on(three((800, 600), (900, 700), (850, 650))).summary
    assert summary.startswith("Use the matched MLP: against the linear probe it gains 10.0 points")
    assert "between the two, NMTune loses 5.0 points in domain" in summary
    assert "`nmtune publish JOB mlp` publishes the matched MLP too" in summary


def test_nmtune_that_beats_an_mlp_that_pays_too() -> None:
    summary = verdict_on(three((800, 600), (830, 630), (850, 680))).summary
    assert summary.startswith("Use NMTune:")
    assert "The matched MLP also beats the linear probe" in summary
    assert "between the two, NMTune gains 2.0 points in domain" in summary


def automatic(**n_right: tuple[int, int]) -> dict[str, dict[str, Score]]:
    """The candidates of a job of method auto, all as good as the probe but for those given."""
    names = ("linear_probe", "whitened_probe", "mlp", "nmtune", "mlp_ensemble", "auto")
    of = dict.fromkeys(names, (800, 600)) | n_right
    return scores_of(**{name: {"test": id_, "ood/b": ood} for name, (id_, ood) in of.items()})


def test_auto_that_gains_is_to_be_used() -> None:
    verdict = verdict_on(automatic(auto=(830, 650), nmtune=(810, 650)), method="auto")
    assert verdict.summary == (
        "Use auto's head: against the linear probe it gains 3.0 points in domain (95 % interval "
        "+2.0 to +4.1) and gains 5.0 points out of domain (+3.7 to +6.4). Against its best "
        "rival, NMTune, it gains 2.0 points in domain (95 % interval +1.2 to +2.9) and shows no "
        "clear difference out of domain (0.0 to 0.0)."
    )
    assert verdict.sentences[0].startswith("Against the linear probe, auto's head gains 3.0")
    assert verdict.sentences[1].startswith("Against the matched MLP, auto's head gains 3.0")
    assert (verdict.recommended, verdict.advises_against) == ("auto", False)


def test_auto_that_gains_nothing_is_kept_and_named_by_what_it_is() -> None:
    verdict = verdict_on(automatic(auto=(801, 600)), method="auto", made_of=["whitened_probe"])
    assert verdict.summary.startswith(
        "Keep auto's head (the whitened probe): against the linear probe it shows no clear"
    )
    assert "The linear probe, which is simpler, would do as well." in verdict.summary
    assert (verdict.recommended, verdict.advises_against) == ("auto", False)


def test_auto_that_loses_is_advised_against() -> None:
    verdict = verdict_on(
        automatic(auto=(770, 580)), method="auto", made_of=["whitened_probe", "mlp_ensemble"]
    )
    assert verdict.summary.startswith(
        "Use the linear probe: against it, auto's head (the whitened probe and the MLP ensemble, "
        "blended) loses 3.0 points in domain"
    )
    assert (verdict.recommended, verdict.advises_against) == ("linear_probe", True)


def test_best_rival_is_compared_in_one_sentence_that_owns_up_to_the_pick() -> None:
    verdict = verdict_on(
        automatic(auto=(830, 650), mlp_ensemble=(834, 652), nmtune=(836, 640)),
        method="auto",
        made_of=["whitened_probe"],
    )
    assert verdict.rival == "mlp_ensemble"
    (sentence,) = [one for one in verdict.sentences if "Against the MLP ensemble" in one]
    assert sentence.startswith(
        "Against the MLP ensemble, the best of the 4 other candidates on these very rows (which "
        "flatters it), auto's head"
    )
    assert "widened 95 % interval" in sentence
    (of_nmtune,) = [one for one in verdict.sentences if one.startswith("Against NMTune, auto's")]
    assert "95 % interval" in of_nmtune
    assert "points out of domain" in of_nmtune
    assert verdict.summary.startswith("Use auto's head (the whitened probe):")


def test_tie_with_the_rival_is_said_as_a_tie() -> None:
    verdict = verdict_on(automatic(auto=(830, 650), mlp_ensemble=(831, 650)), method="auto")
    (sentence,) = [one for one in verdict.sentences if "Against the MLP ensemble" in one]
    assert sentence.count("shows no clear difference") == 2
    assert (
        "Against its best rival, the MLP ensemble, it shows no clear difference, in domain "
        "(widened 95 % interval"
    ) in verdict.summary


def test_rival_that_clearly_beats_auto_is_in_the_summary() -> None:
    verdict = verdict_on(automatic(auto=(830, 650), mlp_ensemble=(860, 690)), method="auto")
    assert verdict.summary.startswith("Keep auto's head: against the linear probe it gains 3.0")
    assert (
        "The MLP ensemble did better on these rows: against it, auto's head loses 3.0 points"
        in (verdict.summary)
    )
    assert verdict.summary.endswith("; `nmtune publish JOB mlp_ensemble` publishes it too.")
    assert (verdict.advises_against, verdict.to_publish) == (False, "mlp_ensemble")


def test_nmtune_that_clearly_beats_an_auto_that_pays_is_recommended() -> None:
    verdict = verdict_on(automatic(auto=(830, 650), nmtune=(870, 700)), method="auto")
    assert verdict.summary.startswith("Use NMTune: against the linear probe it gains 7.0 points")
    assert "Auto's head also beats the linear probe; between the two, auto's head loses" in (
        verdict.summary
    )
    assert "`nmtune publish JOB nmtune` publishes NMTune too" in verdict.summary
    assert (verdict.recommended, verdict.advises_against) == ("nmtune", True)
    assert verdict.to_publish == "nmtune"


def test_trade_of_the_published_head_leaves_the_choice_to_the_reader() -> None:
    verdict = verdict_on(three((800, 600), (750, 600), (750, 680)))
    assert (verdict.recommended, verdict.advises_against) == (None, False)
    assert verdict.to_publish is None


def test_trade_of_another_candidate_does_not_excuse_a_head_that_loses() -> None:
    verdict = verdict_on(automatic(auto=(770, 600), nmtune=(750, 680)), method="auto")
    assert verdict.summary.startswith("A trade-off: against the linear probe, NMTune loses")
    assert verdict.advises_against is True


def test_pick_among_many_needs_more_to_be_clear() -> None:
    """9 rows to 1 are clear (p = 0.021) for a pair named beforehand, not for the best of four."""
    right = np.arange(N_ROWS)
    probe = Score(correct=right < 800, macro_f1=0.8)
    better = Score(correct=(right < 808) & (right != 0) | (right == 809), macro_f1=0.8)
    scores = {name: {"test": probe} for name in ("linear_probe", "mlp", "nmtune", "auto")}
    scores["mlp_ensemble"] = {"test": better}
    rival = best_rival(scores, method="auto", id_split="test")
    assert rival is not None
    assert (rival.name, rival.n_others) == ("mlp_ensemble", 4)
    rows = compare_candidates(scores, method="auto", id_split="test", rival=rival)
    (picked,) = [row for row in rows if row.baseline == "mlp_ensemble"]
    assert (picked.n_lost, picked.n_gained, picked.picked_from) == (9, 1, 4)
    assert picked.p_value == pytest.approx(0.0215, abs=1e-3)
    assert picked.finding == "probable_loss"


def test_candidate_that_auto_is_made_of_alone_is_no_rival() -> None:
    scores = automatic(whitened_probe=(830, 650), auto=(830, 650))
    rival = best_rival(scores, method="auto", id_split="test", same=["whitened_probe"])
    assert rival is not None
    assert rival.name != "whitened_probe"


def test_simpler_head_that_gains_what_auto_does_not_is_recommended() -> None:
    summary = verdict_on(automatic(nmtune=(830, 650)), method="auto").summary
    assert summary.startswith("Use NMTune: against the linear probe it gains 3.0 points in domain")
    assert summary.endswith(
        "This job published auto's head. `nmtune publish JOB nmtune` publishes NMTune too, without "
        "training again."
    )


def test_of_two_that_do_alike_and_are_not_published_the_simpler_is_recommended() -> None:
    summary = verdict_on(automatic(nmtune=(830, 650), mlp=(830, 650)), method="auto").summary
    assert summary.startswith("Use the matched MLP:")
    assert "NMTune also beats the linear probe" in summary
    assert "`nmtune publish JOB mlp` publishes" in summary


def test_candidates_that_no_method_asks_for_can_still_be_the_best() -> None:
    verdict = verdict_on(automatic(whitened_probe=(900, 600), mlp_ensemble=(0, 900)), method="auto")
    assert (verdict.best_id, verdict.best_ood) == ("whitened_probe", "mlp_ensemble")


def test_what_auto_chose_is_told_first() -> None:
    scores = automatic(auto=(830, 650))
    comparisons = compare_candidates(scores, method="auto", id_split="test")
    reason = "Auto blended the whitened probe and NMTune: together they did best in 5 folds."
    verdict = judge_job(
        scores,
        comparisons,
        method="auto",
        id_split="test",
        choice={"reason": reason},
        job_id="job_7",
    )
    assert verdict.sentences[0] == reason


def test_linear_probe_alone_has_nothing_to_compare_but_its_figures() -> None:
    scores = scores_of(linear_probe={"test": 800, "ood/a": 600, "ood/b": 500})
    verdict = verdict_on(scores, method="linear_probe")
    assert verdict.summary.startswith(
        "Nothing to compare: only the linear probe was trained (80.0 % in domain, 55.0 % out of "
        "domain)."
    )
    assert verdict.sentences == ()
    assert (verdict.best_id, verdict.best_ood) == ("linear_probe", "linear_probe")


def test_without_held_out_rows_it_asks_for_some() -> None:
    scores = scores_of(linear_probe={"train": 800}, mlp={"train": 900})
    verdict = verdict_on(scores, method="mlp")
    assert "Add a `test` split" in verdict.summary
    assert (verdict.best_id, verdict.best_ood) == (None, None)


def test_without_domains_it_speaks_of_the_test_alone() -> None:
    scores = scores_of(linear_probe={"test": 800}, mlp={"test": 850}, nmtune={"test": 900})
    verdict = verdict_on(scores)
    assert "out of domain" not in verdict.summary
    assert "out of domain" not in " ".join(verdict.sentences)
    assert verdict.best_ood is None
