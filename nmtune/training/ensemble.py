"""An ensemble: small MLPs trained side by side, each stopped by rows that it never saw."""

import torch
from torch import Tensor

from nmtune.training.members import FoldedFit, Masks, Weights


class EnsembleFit(FoldedFit):
    """Average K networks d - hidden_width - c.

    The mean of the members' logits is, up to a constant, the mean of their log-probabilities, so
    the ensemble is itself one network: hidden layers side by side, and classifiers divided by K.
    """

    def _initial_weights(self, n_members: int) -> dict[str, Tensor]:
        hidden, classifier = self.network.transform[0], self.network.classifier  # type: ignore[index]
        n_hidden, n_classes = self._config.hidden_width, classifier.out_features
        # From the bound of one layer of K * n_hidden inputs to that of K layers of n_hidden.
        out = classifier.weight.detach() * (n_members / 6) ** 0.5
        out = out.reshape(n_classes, n_members, n_hidden).permute(1, 2, 0)
        return {
            "hidden_weight": hidden.weight.detach().clone(),  # (K h, d)
            "hidden_bias": hidden.bias.detach().clone(),
            "out_weight": out.contiguous(),  # (K, h, c)
            "out_bias": torch.zeros(n_members, 1, n_classes, device=out.device),
        }

    def _training_logits(self, x: Tensor, learns: Tensor, masks: Masks) -> Tensor:
        live = self._live
        hidden = torch.addmm(live["hidden_bias"], x, live["hidden_weight"].T).relu()
        hidden = masks.drop(hidden, self._config.hidden_dropout)
        by_member = hidden.view(len(hidden), len(learns), -1).transpose(0, 1)
        return torch.baddbmm(live["out_bias"], by_member, live["out_weight"])

    def _member_logits(self, x: Tensor, member: int, weights: Weights) -> Tensor:
        width = self._config.hidden_width
        mine = slice(member * width, (member + 1) * width)
        hidden = torch.addmm(weights["hidden_bias"][mine], x, weights["hidden_weight"][mine].T)
        return torch.addmm(
            weights["out_bias"][member], hidden.relu_(), weights["out_weight"][member]
        )

    def _publish(self) -> None:
        out = self._best["out_weight"]
        n_members, _, n_classes = out.shape
        hidden, classifier = self.network.transform[0], self.network.classifier  # type: ignore[index]
        hidden.weight.copy_(self._best["hidden_weight"])
        hidden.bias.copy_(self._best["hidden_bias"])
        classifier.weight.copy_(out.permute(2, 0, 1).reshape(n_classes, -1) / n_members)
        classifier.bias.copy_(self._best["out_bias"].mean(0)[0])
