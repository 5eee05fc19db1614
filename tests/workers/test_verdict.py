"""The verdict's words for constructed results: they must be true, and say what to do."""

from collections.abc import Mapping

import numpy as np
import pytest

from workers.comparison import Score, compare
from workers.verdict import SpectrumMove, Verdict, judge

N_ROWS = 1000


def scores_of(**n_right: Mapping[str, int]) -> dict[str, dict[str, Score]]:
    """Scores by candidate and split, from how many of 1000 rows are right."""
    return {
        candidate: {
            split: Score(correct=np.arange(N_ROWS) < right, macro_f1=right / N_ROWS)
            for split, right in splits.items()
        }
        for candidate, splits in n_right.items()
    }


def verdict_on(scores: dict[str, dict[str, Score]], *, method: str = "nmtune") -> Verdict:
    first = next(iter(scores.values()))
    id_split = "test" if "test" in first else None
    comparisons = compare(scores, id_split=id_split)
    return judge(scores, comparisons, method=method, id_split=id_split)


def three(
    probe: tuple[int, int], mlp: tuple[int, int], nmtune: tuple[int, int]
) -> dict[str, dict[str, Score]]:
    """Three candidates, each right on so many rows of (test, the one domain)."""
    named = {"linear_probe": probe, "mlp": mlp, "nmtune": nmtune}
    return scores_of(**{name: {"test": id_, "ood/b": ood} for name, (id_, ood) in named.items()})


def test_nmtune_that_gains_everywhere_is_recommended() -> None:
    verdict = verdict_on(three((800, 600), (800, 600), (850, 680)))
    assert verdict.summary == (
        "Use NMTune: against the linear probe it gains 5.0 points in domain and gains 8.0 points "
        "out of domain."
    )
    assert (verdict.best_id, verdict.best_ood) == ("nmtune", "nmtune")


def test_nmtune_that_gains_out_of_domain_alone_is_recommended() -> None:
    summary = verdict_on(three((800, 600), (800, 600), (800, 680))).summary
    assert "shows no clear difference in domain and gains 8.0 points out of domain" in summary
    assert summary.startswith("Use NMTune:")


def test_nmtune_that_loses_makes_the_linear_probe_the_verdict() -> None:
    verdict = verdict_on(three((800, 600), (760, 590), (750, 560)))
    assert verdict.summary == (
        "Use the linear probe: against it, NMTune loses 5.0 points in domain and loses 4.0 points "
        "out of domain. This job published NMTune; to publish the other, run it again with "
        '"method": "linear_probe".'
    )
    assert (verdict.best_id, verdict.best_ood) == ("linear_probe", "linear_probe")


def test_no_clear_difference_makes_the_simplest_head_the_verdict() -> None:
    verdict = verdict_on(three((800, 600), (801, 600), (800, 599)))
    assert verdict.summary.startswith(
        "Use the linear probe: against it, NMTune shows no clear difference, in domain or out of "
        "it."
    )
    assert " gains " not in " ".join(verdict.sentences)
    assert " loses " not in " ".join(verdict.sentences)


def test_difference_between_one_and_two_standard_errors_is_only_probable() -> None:
    """3 rows of difference: 3 / sqrt(4) = 1.5 standard errors."""
    summary = verdict_on(three((800, 600), (800, 600), (803, 600))).summary
    assert summary.startswith(
        "Use the linear probe: against it, NMTune probably gains 0.3 points in domain and shows no "
        "clear difference out of domain, too little for these rows to settle."
    )


def test_probable_loss_forbids_a_recommendation() -> None:
    summary = verdict_on(three((800, 600), (800, 600), (797, 680))).summary
    assert summary.startswith("A trade: against the linear probe, NMTune probably loses 0.3 points")


def test_gain_here_and_loss_there_is_a_trade_and_no_recommendation() -> None:
    verdict = verdict_on(three((800, 600), (750, 600), (750, 680)))
    assert verdict.summary.startswith(
        "A trade: against the linear probe, NMTune loses 5.0 points in domain and gains 8.0 points "
        "out of domain."
    )
    assert (verdict.best_id, verdict.best_ood) == ("linear_probe", "nmtune")


def test_mlp_that_does_as_well_leaves_the_choice() -> None:
    assert verdict_on(three((800, 600), (850, 680), (850, 680))).summary == (
        "Use NMTune or the matched MLP, both beat the linear probe: NMTune gains 5.0 points in "
        "domain and gains 8.0 points out of domain against it, and shows no clear difference, in "
        "domain or out of it against the MLP."
    )


def test_mlp_that_beats_nmtune_is_recommended_with_what_to_do() -> None:
    summary = verdict_on(three((800, 600), (900, 700), (850, 650))).summary
    assert summary.startswith("Use the matched MLP: against the linear probe it gains 10.0 points")
    assert "between the two, NMTune loses 5.0 points in domain" in summary
    assert summary.endswith('run it again with "method": "mlp".')


def test_nmtune_that_beats_an_mlp_that_pays_too() -> None:
    summary = verdict_on(three((800, 600), (830, 630), (850, 680))).summary
    assert summary.startswith("Use NMTune:")
    assert "The matched MLP also beats the linear probe" in summary
    assert "between the two, NMTune gains 2.0 points in domain" in summary


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


def test_sentence_gives_both_accuracies_difference_error_and_rows() -> None:
    sentence = verdict_on(three((800, 600), (800, 600), (850, 680))).sentences[0]
    assert sentence == (
        "Against the linear probe, NMTune gains 5.0 points in domain (85.0 % against 80.0 %, "
        "+5.0 ± 0.7 points; test, 1,000 rows) and gains 8.0 points out of domain (68.0 % against "
        "60.0 %, +8.0 ± 0.9 points; one domain, 1,000 rows)."
    )


def test_no_difference_has_no_sign() -> None:
    sentence = verdict_on(three((800, 600), (800, 600), (800, 600))).sentences[0]
    assert ", 0.0 ± 0.1 points; test" in sentence


def test_every_domain_is_named_where_there_are_several() -> None:
    domains = {"ood/books": 600, "ood/dvd": 600}
    scores = scores_of(linear_probe=domains, mlp={"ood/books": 601, "ood/dvd": 650})
    sentences = verdict_on(scores, method="mlp").sentences
    assert "mean of 2 domains, 2,000 rows" in sentences[0]
    assert sentences[1] == (
        "By domain, the matched MLP against the linear probe: books no clear difference, "
        "dvd +5.0 ± 0.7."
    )


def test_macro_f1_that_goes_the_other_way_is_pointed_out() -> None:
    right = np.arange(N_ROWS)
    scores = {
        "linear_probe": {"test": Score(correct=right < 800, macro_f1=0.70)},
        "mlp": {"test": Score(correct=right < 850, macro_f1=0.65)},
    }
    sentences = verdict_on(scores, method="mlp").sentences
    assert "Macro-F1 goes the other way in domain (-5.0 points)" in sentences[1]


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        ((1.0, 1.5), "LSVR rises from 1.00 to 1.50 (weaker dominant direction)"),
        ((1.5, 1.0), "LSVR falls from 1.50 to 1.00 (stronger dominant direction)"),
        ((1.0, 1.001), "LSVR stays at 1.00"),
    ],
)
def test_bigger_lsvr_is_a_weaker_dominant_direction(ratio: tuple[float, float], words: str) -> None:
    scores = scores_of(linear_probe={"test": 800})
    move = SpectrumMove(split="test", entropy=(3.0, 4.0), largest_ratio=ratio)
    verdict = judge(scores, (), method="linear_probe", id_split="test", spectra=[move])
    (sentence,) = verdict.sentences
    assert words in sentence
    assert "SVE rises from 3.00 to 4.00 (flatter spectrum)" in sentence
    assert sentence.endswith("no forecast of accuracy.")


def test_verdict_is_ready_for_json() -> None:
    told = verdict_on(three((800, 600), (800, 600), (850, 680))).to_dict()
    assert set(told) == {"summary", "sentences", "best_id", "best_ood"}
    assert isinstance(told["sentences"], list)
