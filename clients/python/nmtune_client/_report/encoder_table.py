"""The encoders of a report as plain text: the choice, and a line for each."""

from nmtune_client._names import split_title
from nmtune_client._report.encoders import ComparedEncoder, EncoderComparison
from nmtune_client._show import plain

_NAME_WIDTH = 40


def encoder_table(of: EncoderComparison) -> str:
    """One line an encoder, by rank; `>` is the chosen one, and those that dropped out come last."""
    ranked = [one for one in of.compared if one.status != "failed"]
    has_ood = any(one.ood_accuracy is not None for one in ranked)
    header = ["  encoder", "columns", "log loss", split_title("test")]
    header += ["mean OOD"] if has_ood else []
    lines = [[*header, "cost/1,000", "median ms", "p95 ms"]]
    for one in ranked:
        mark = ">" if one.name == of.chosen else " "
        test = one.metrics.get("test")
        latency = one.latency
        lines.append(
            [
                f"{mark} {plain.shorten(one.name, _NAME_WIDTH)}",
                "-" if one.n_columns is None else f"{one.n_columns:,}",
                _loss(one),
                _percent(None if test is None else test.accuracy),
                *([_percent(one.ood_accuracy)] if has_ood else []),
                "-" if one.cost_per_1000_texts is None else f"{one.cost_per_1000_texts:.3g}",
                _milliseconds(None if latency is None else latency.median_seconds),
                _milliseconds(None if latency is None else latency.p95_seconds),
            ]
        )
    return plain.columns(lines, right=range(1, len(lines[0])))


def dropped_out(of: EncoderComparison) -> list[str]:
    """A sentence for each encoder that dropped out."""
    return [
        f"{one.name} dropped out: {(one.error or {}).get('message', 'no reason is known')}"
        for one in of.compared
        if one.status == "failed"
    ]


def _loss(one: ComparedEncoder) -> str:
    held_out = one.held_out
    if held_out is None or held_out.log_loss is None:
        return "-"
    return f"{held_out.log_loss:.3f}{'=' if held_out.ties else ' '}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.1f}"
