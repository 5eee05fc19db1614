"""Ways to break the library `nmtune`."""

from tests.broken.mutant import Mutant

MUTANTS = (
    Mutant(
        "an adaptation's cross-validation sees its own rows",
        "nmtune/heads/adaptation.py",
        {"some = rows.take(learnt)\n        strengths": "some = rows\n        strengths"},
        ("tests/nmtune/heads/test_adaptation.py",),
    ),
    Mutant(
        "class shares are corrected the wrong way",
        "nmtune/heads/class_shares.py",
        {"np.log(shares) - np.log(learnt)": "np.log(learnt) - np.log(shares)"},
        ("tests/nmtune/heads/test_class_shares.py",),
    ),
)
