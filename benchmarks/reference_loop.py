"""The published loop on embeddings.

Rebuilt from its description (arXiv 2403.06869 and the settings of its authors' code): a residual
MLP with BatchNorm under autograd, `torch.svd` of the batch, the d x d covariance, AdamW with its
default arguments, a Dataset asked row by row, 30 epochs of 64 rows, cosine to 0 step by step.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

BATCH_SIZE, EPOCHS, LEARNING_RATE, WEIGHT_DECAY = 64, 30, 1e-3, 1e-4
W_CONSISTENCY, W_COVARIANCE, W_DOMINANT, K = 1.0, 0.04, 0.001, 5


class RowByRow(Dataset[tuple[Tensor, Tensor]]):
    """Embeddings (n, d) and labels (n,), one row a call."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self._x, self._y = x.numpy(), y.numpy()

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self._x[index]).float(), torch.tensor(self._y[index])


class ReferenceHead(nn.Module):
    """F (b, d) -> Z = F + scale * MLP(F) and logits (b, c)."""

    def __init__(self, n_columns: int, n_classes: int) -> None:
        super().__init__()
        hidden = 4 * n_columns
        self.mlp = nn.Sequential(
            nn.Linear(n_columns, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, n_columns),
        )
        self.scale = nn.Parameter(torch.ones(n_columns))
        self.classifier = nn.Linear(n_columns, n_classes)
        nn.init.kaiming_uniform_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        z = f + self.scale * self.mlp(f)
        return z, self.classifier(z)


def objective(logits: Tensor, y: Tensor, z: Tensor, f: Tensor) -> Tensor:
    """Cross-entropy and the three terms, each by its direct formula."""
    unit_z, unit_f = functional.normalize(z, dim=1), functional.normalize(f, dim=1)
    _, values, _ = torch.svd(z)
    dominant = -(values / values.sum())[:K].mean()
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)
    off_diagonal = covariance - torch.diag(covariance.diagonal())
    return (
        functional.cross_entropy(logits, y)
        + W_CONSISTENCY * functional.mse_loss(unit_z, unit_f)
        + W_COVARIANCE * off_diagonal.square().sum() / z.shape[1]
        + W_DOMINANT * dominant
    )


class ReferenceLoop:
    """The loop over one set of rows, a step or an epoch at a time."""

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        *,
        n_classes: int,
        epochs: int = EPOCHS,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self._device = device
        self.head = ReferenceHead(x.shape[1], n_classes).to(device)
        self._optimiser = torch.optim.AdamW(
            self.head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        # A last batch of one row, which BatchNorm refuses, is left out.
        self._loader = DataLoader(
            RowByRow(x, y),
            batch_size=BATCH_SIZE,
            shuffle=True,
            drop_last=len(y) % BATCH_SIZE == 1,
            generator=torch.Generator().manual_seed(seed),
        )
        self._n_steps = epochs * len(self._loader)
        self._n_done = 0

    def epoch(self) -> Iterator[None]:
        """One pass over the rows; pauses after each step."""
        self.head.train()
        for rows in self._loader:
            f, y = (part.to(self._device) for part in rows)
            rate = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * self._n_done / self._n_steps))
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            self._optimiser.zero_grad()
            z, logits = self.head(f)
            torch.autograd.backward(objective(logits, y, z, f))
            self._optimiser.step()
            self._n_done += 1
            yield

    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """Share of the rows that the head gets right."""
        self.head.eval()
        with torch.no_grad():
            _, logits = self.head(x)
        return (logits.argmax(dim=1) == y).float().mean().item()
