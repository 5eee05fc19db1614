"""Names that the science, the workers and the API share: splits, methods and candidates.

Plain strings, so that a process that never trains can import them without numpy or torch.
"""

from typing import Final

TRAIN: Final = "train"
VALIDATION: Final = "validation"
ID_SPLIT: Final = "test"
"""The split held out from the training domain (in domain)."""

OOD_PREFIX: Final = "ood/"
"""`ood/<domain>` holds the rows of another domain (out of domain)."""

OOD_MEAN: Final = "ood"
"""The unweighted mean over all `ood/<domain>` splits, where one stands among the splits."""

METHODS: Final = ("linear_probe", "mlp", "nmtune", "auto")
"""What a job may ask for, simplest first; it also trains every simpler method, to compare."""

LORA: Final = "lora"
LORA_NMTUNE: Final = "lora_nmtune"
FULL_FINETUNING: Final = "full_finetuning"
FROZEN_AUTO: Final = "frozen_auto"
"""Candidates of a job that also adapts the encoder; the last is auto's head without that."""

ABLATION_PREFIX: Final = "nmtune_without_"

CANDIDATE_TITLES: Final = {
    "linear_probe": "the linear probe",
    "whitened_probe": "the whitened probe",
    "robust_probe": "the robust probe",
    "trimmed_probe": "the trimmed probe",
    "mlp": "the matched MLP",
    "nmtune": "NMTune",
    "published_mlp": "the MLP of the published loop",
    "published_nmtune": "NMTune of the published loop",
    "nmtune_without_consistency": "NMTune without its consistency term",
    "nmtune_without_covariance": "NMTune without its covariance term",
    "nmtune_without_dominant": "NMTune without its dominant term",
    "mlp_ensemble": "the MLP ensemble",
    FROZEN_AUTO: "auto's head on frozen embeddings",
    LORA: "LoRA",
    LORA_NMTUNE: "LoRA with NMTune's terms",
    FULL_FINETUNING: "full fine-tuning",
    "auto": "auto's head",
}
"""Each candidate as sentences name it, simplest first."""


def candidate_title(name: str) -> str:
    """The candidate as a sentence names it; a name of the user's own in quotes."""
    return CANDIDATE_TITLES.get(name, f"'{name}'")


def domain_of(split: str) -> str:
    """The domain of an `ood/<domain>` split."""
    return split.removeprefix(OOD_PREFIX)
