"""Build the ONNX graph of a folded head, which onnxruntime serves and exports contain."""

from collections.abc import Sequence
from typing import Final, Literal

from nmtune.extras import needs
from nmtune.serving.folded import FoldedHead, Matrix, TunedPart

with needs("onnx"):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

Output = Literal["scores", "logits", "probabilities", "tuned"]

INPUT: Final = "embeddings"
"""(n, d) float32, finite; n is dynamic."""

_OPSET: Final = 17
_IR_VERSION: Final = 8
"""The version that onnxruntime 1.13 and later reads."""


def onnx_model(
    folded: FoldedHead, *, outputs: Sequence[Output] = ("probabilities",)
) -> onnx.ModelProto:
    """The head as an ONNX model of the input `embeddings` and the named outputs, all float32.

    The outputs are `probabilities` (n, c), `scores` (n, c), which are logits divided by the
    temperature, `logits` (n, c), not divided, and `tuned` (n, m). ONNX's own checker passes it.
    """
    graph = _Graph(folded)
    widths = {name: len(folded.classes) for name in ("scores", "logits", "probabilities")}
    widths["tuned"] = folded.n_tuned_columns
    graph.add_outputs(outputs)
    named = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", widths[name]])
        for name in outputs
    ]
    made = helper.make_graph(
        graph.nodes,
        "nmtune_head",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", folded.n_columns])],
        named,
        graph.constants,
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="nmtune"
    )
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Nodes and constants, in the order in which they are computed."""

    def __init__(self, folded: FoldedHead) -> None:
        self._folded = folded
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._n_made = 0

    def add_outputs(self, outputs: Sequence[Output]) -> None:
        x = INPUT
        if self._folded.shift is not None:
            x = self._node("Sub", x, self._constant("shift", self._folded.shift))
        hidden = self._hidden(x)
        if set(outputs) != {"tuned"}:
            self._scores(x, hidden)
        if "logits" in outputs:
            self._node(
                "Mul", "scores", self._number("temperature", self._folded.temperature), to="logits"
            )
        if "probabilities" in outputs:
            self._node("Softmax", "scores", to="probabilities", axis=1)
        if "tuned" in outputs:
            parts = [
                self._tuned(part, str(index), x, hidden)
                for index, part in enumerate(self._folded.tuned)
            ]
            self._node("Concat", *parts, to="tuned", axis=1)

    def _hidden(self, x: str) -> str | None:
        if self._folded.into is None or self._folded.into_bias is None:
            return None
        return self._node(
            "Relu",
            self._node(
                "Gemm",
                x,
                self._constant("into", self._folded.into),
                self._constant("into_bias", self._folded.into_bias),
            ),
        )

    def _scores(self, x: str, hidden: str | None) -> None:
        addend = self._constant("bias", self._folded.bias)
        terms = [(x, "affine", self._folded.affine), (hidden, "out", self._folded.out)]
        present = [(t, name, m) for t, name, m in terms if t is not None and m is not None]
        for index, (term, name, matrix) in enumerate(present):
            to = "scores" if index == len(present) - 1 else None
            addend = self._node("Gemm", term, self._constant(name, matrix), addend, to=to)

    def _tuned(self, part: TunedPart, name: str, x: str, hidden: str | None) -> str:
        terms: list[str] = []
        if part.diagonal is not None:
            terms.append(
                self._node("Mul", x, self._constant(f"tuned_{name}_diagonal", part.diagonal))
            )
        if part.linear is not None:
            terms.append(
                self._node("MatMul", x, self._constant(f"tuned_{name}_linear", part.linear))
            )
        if part.hidden is not None and hidden is not None:
            mine = self._columns(hidden, f"tuned_{name}", part.hidden)
            if part.back is not None:
                back = self._constant(f"tuned_{name}_back", part.back)
                mine = self._node("MatMul", mine, back)
            terms.append(mine)
        if part.bias is not None:
            terms.append(self._constant(f"tuned_{name}_bias", part.bias))
        total = terms[0]
        for term in terms[1:]:
            total = self._node("Add", total, term)
        return total

    def _columns(self, matrix: str, name: str, bounds: tuple[int, int]) -> str:
        ends = [
            self._whole(f"{name}_{end}", at)
            for end, at in zip(("first", "last"), bounds, strict=True)
        ]
        return self._node("Slice", matrix, *ends, self._whole(f"{name}_axis", 1))

    def _node(self, kind: str, *inputs: str, to: str | None = None, **attributes: int) -> str:
        self._n_made += 1
        name = to or f"{kind.lower()}_{self._n_made}"
        node = helper.make_node(kind, [*inputs], [name])
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in attributes.items()
        )
        self.nodes.append(node)
        return name

    def _constant(self, name: str, values: Matrix) -> str:
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def _number(self, name: str, value: float) -> str:
        self.constants.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
        return name

    def _whole(self, name: str, value: int) -> str:
        self.constants.append(helper.make_tensor(name, TensorProto.INT64, [1], [value]))
        return name
