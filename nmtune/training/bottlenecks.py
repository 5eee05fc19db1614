"""NMTune folded: bottlenecks trained side by side, with or without NMTune's terms."""

import torch
from torch import Tensor

from nmtune.heads.network import Bottlenecks
from nmtune.losses.shares import correlation, directions, pull
from nmtune.training.members import FoldedFit, Masks, Weights

COLUMNS_AT_A_TIME = 128
"""Columns whose correlations a step looks at, drawn anew for each: all of them take d / 128 times
as long and come to the same on average."""


class BottlenecksFit(FoldedFit):
    """Average K members: Z = F + U ReLU(V F + a), logits = Z W + bias.

    U and W start at 0, so a member starts at the raw embeddings, and early stopping keeps it near
    them. NMTune's terms act on a member's Z through their gradients (see `losses.shares`); with
    both weights 0 this is the matched MLP, with the same folds, initial weights, batches and masks.
    """

    def _initial_weights(self, n_members: int) -> dict[str, Tensor]:
        into, d = self._transform.into, self.network.n_columns
        n_classes, width = self.network.classifier.out_features, self._config.hidden_width
        zeros = torch.zeros(n_members, d, n_classes, device=into.weight.device)
        return {
            "into_weight": into.weight.detach().clone(),  # (K h, d)
            "into_bias": into.bias.detach().clone(),
            "back_weight": zeros.new_zeros(n_members, width, d),
            "out_weight": zeros,
            "out_bias": zeros.new_zeros(n_members, 1, n_classes),
        }

    def _training_logits(self, x: Tensor, learns: Tensor, masks: Masks) -> Tensor:
        live = self._live
        units = torch.addmm(live["into_bias"], x, live["into_weight"].T).relu()
        units = masks.drop(units, self._config.hidden_dropout)
        by_member = units.view(len(units), len(learns), -1).transpose(0, 1)
        z = torch.baddbmm(x.expand(len(learns), *x.shape), by_member, live["back_weight"])
        self._reshape(z, x, learns, masks)
        return torch.baddbmm(live["out_bias"], z, live["out_weight"])

    def _reshape(self, z: Tensor, f: Tensor, learns: Tensor, masks: Masks) -> None:
        """Let the terms add their shares to the cross-entropy's gradient in Z (K, b, d)."""
        consistency, covariance = self._config.w_consistency, self._config.w_covariance
        if not (consistency or covariance):
            return
        at = masks.columns(z.shape[-1], COLUMNS_AT_A_TIME)
        tuned = z.detach()

        def added(gradient: Tensor) -> Tensor:
            changed = gradient.clone()
            if consistency:
                changed += pull(gradient, directions(tuned, f, learns), consistency)
            if covariance:
                some = correlation(tuned[..., at], learns)
                changed.index_add_(2, at, pull(gradient, some, covariance))
            return changed

        z.register_hook(added)  # type: ignore[no-untyped-call]  # torch has no types here

    def _member_logits(self, x: Tensor, member: int, weights: Weights) -> Tensor:
        width = self._config.hidden_width
        mine = slice(member * width, (member + 1) * width)
        units = torch.addmm(weights["into_bias"][mine], x, weights["into_weight"][mine].T).relu_()
        z = torch.addmm(x, units, weights["back_weight"][member])
        return torch.addmm(weights["out_bias"][member], z, weights["out_weight"][member])

    def _publish(self) -> None:
        back, out = self._best["back_weight"], self._best["out_weight"]
        n_members, d = len(back), self.network.n_columns
        transform, classifier = self._transform, self.network.classifier
        transform.into.weight.copy_(self._best["into_weight"])
        transform.into.bias.copy_(self._best["into_bias"])
        transform.back.weight.copy_(back.flatten(0, 1).T / n_members)
        classifier.weight[:, :d] = out.mean(0).T
        classifier.weight[:, d:] = (back @ out).flatten(0, 1).T / n_members
        classifier.bias.copy_(self._best["out_bias"].mean(0)[0])

    @property
    def _transform(self) -> Bottlenecks:
        transform = self.network.transform
        assert isinstance(transform, Bottlenecks)  # noqa: S101  # by the config's transform
        return transform
