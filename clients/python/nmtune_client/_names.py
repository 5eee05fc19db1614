"""Splits and candidates by name, and as people read them."""

TITLES = {
    "linear_probe": "linear probe",
    "whitened_probe": "whitened probe",
    "robust_probe": "robust probe",
    "trimmed_probe": "trimmed probe",
    "mlp": "MLP",
    "nmtune_without_consistency": "NMTune, no consistency",
    "nmtune_without_covariance": "NMTune, no covariance",
    "nmtune_without_dominant": "NMTune, no dominant",
    "nmtune": "NMTune",
    "published_mlp": "MLP, published loop",
    "published_nmtune": "NMTune, published loop",
    "mlp_ensemble": "MLP ensemble",
    "frozen_auto": "auto, frozen",
    "lora": "LoRA",
    "lora_nmtune": "LoRA + NMTune",
    "full_finetuning": "full fine-tuning",
    "auto": "auto",
}
"""Candidates as people read them; one that a newer server adds appears under its own name."""


ID_SPLIT = "test"
OOD_PREFIX = "ood/"


def split_title(split: str) -> str:
    """A split's name for people: `ID test`, `OOD sketch`."""
    if split.startswith(OOD_PREFIX):
        return f"OOD {split.removeprefix(OOD_PREFIX)}"
    return f"ID {split}"


def title(candidate: str) -> str:
    """A candidate's name for people."""
    return TITLES.get(candidate, candidate)
