"""The report's sentences: figures, domains and tests stand in them as they are."""

import numpy as np
import pytest

from nmtune.report.comparison import Score
from nmtune.report.verdict import judge_job
from nmtune.report.wording import SpectrumMove
from tests.nmtune.report.made_scores import N_ROWS, scores_of, three, verdict_on


def test_sentence_gives_accuracies_interval_test_and_rows() -> None:
    sentence = verdict_on(three((800, 600), (800, 600), (850, 680))).sentences[0]
    assert sentence == (
        "Against the linear probe, NMTune gains 5.0 points in domain (test, 1,000 rows: 85.0 % "
        "against 80.0 %, 95 % interval +3.7 to +6.4 points, McNemar p < 0.001) and gains 8.0 "
        "points out of domain (one domain, 1,000 rows: 68.0 % against 60.0 %, 95 % interval +6.4 "
        "to +9.7 points, McNemar p < 0.001)."
    )


def test_no_difference_has_no_sign_and_a_chance_of_one() -> None:
    sentence = verdict_on(three((800, 600), (800, 600), (800, 600))).sentences[0]
    assert "95 % interval 0.0 to 0.0 points, McNemar p = 1.000)" in sentence


def test_reach_of_the_intervals_is_told_of_domains_where_there_are_some() -> None:
    with_domains = verdict_on(three((800, 600), (800, 600), (850, 680))).sentences[-1]
    assert "It says nothing about other domains" in with_domains
    assert with_domains.endswith("another training seed could move it too.")


def test_every_domain_is_named_where_there_are_several() -> None:
    domains = {"ood/books": 600, "ood/dvd": 600}
    scores = scores_of(linear_probe=domains, mlp={"ood/books": 601, "ood/dvd": 650})
    verdict = verdict_on(scores, method="mlp")
    assert "mean of 2 domains, 2,000 rows: 62.5 % against 60.0 %" in verdict.sentences[0]
    assert "McNemar" not in verdict.sentences[0]
    assert verdict.sentences[1] == (
        "By domain, the matched MLP against the linear probe: books no clear difference (0.0 to "
        "+0.3), dvd +5.0 (+3.7 to +6.4)."
    )
    assert "disagree" not in verdict.summary


def test_domains_that_disagree_are_named_in_the_summary() -> None:
    probe = {"test": 800, "ood/art": 600, "ood/books": 600, "ood/dvd": 600}
    mlp = {"test": 850, "ood/art": 630, "ood/books": 630, "ood/dvd": 560}
    verdict = verdict_on(scores_of(linear_probe=probe, mlp=mlp), method="mlp")
    assert verdict.summary.startswith("Use the matched MLP:")
    assert verdict.summary.endswith(
        "The domains disagree: the matched MLP gains on art and books and loses on dvd, which the "
        "mean hides."
    )
    assert verdict.sentences[1].startswith("The domains disagree. By domain,")


def test_domains_are_listed_for_the_published_head_and_where_they_disagree() -> None:
    probe = {"ood/a": 600, "ood/b": 600}
    scores = scores_of(
        linear_probe=probe, mlp={"ood/a": 610, "ood/b": 610}, nmtune={"ood/a": 630, "ood/b": 640}
    )
    listed = [one for one in verdict_on(scores).sentences if "By domain" in one]
    assert [one.partition(":")[0] for one in listed] == [
        "By domain, NMTune against the linear probe",
        "By domain, NMTune against the matched MLP",
    ]


def test_macro_f1_that_goes_the_other_way_is_pointed_out() -> None:
    right = np.arange(N_ROWS)
    scores = {
        "linear_probe": {"test": Score(correct=right < 800, macro_f1=0.70)},
        "mlp": {"test": Score(correct=right < 850, macro_f1=0.65)},
    }
    sentences = verdict_on(scores, method="mlp").sentences
    assert "Macro-F1 moves the other way in domain (-5.0 points)" in sentences[1]


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
    verdict = judge_job(scores, (), method="linear_probe", id_split="test", spectra=[move])
    (sentence,) = verdict.sentences
    assert words in sentence
    assert "SVE rises from 3.00 to 4.00 (flatter spectrum)" in sentence
    assert sentence.endswith(
        "is no forecast of accuracy: NMTune's noise study, on small encoders, could not show one."
    )


def test_verdict_is_ready_for_json() -> None:
    told = verdict_on(three((800, 600), (800, 600), (850, 680))).to_dict()
    assert set(told) == {
        "summary",
        "sentences",
        "recommended",
        "advises_against",
        "to_publish",
        "rival",
        "best_id",
        "best_ood",
    }
    assert isinstance(told["sentences"], list)
