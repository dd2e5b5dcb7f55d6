"""What flows between steps, and how much of it is alive at a time."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from quant_core.graph import peak_alive, tensor_flow
from tests.models import conv_chain, graph_of

steps = st.integers(1, 12)
programs = steps.flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(
            st.tuples(st.integers(-1, n - 1), st.integers(0, n), st.integers(0, 1000)).map(
                lambda t: (t[0], min(max(t[0], 0) + t[1], n - 1), t[2])
            ),
            max_size=20,
        ),
    )
)


@given(programs)
def test_the_peak_is_that_of_a_machine_that_allocates_and_frees(
    program: tuple[int, list[tuple[int, int, int]]],
) -> None:
    count, spans = program
    held = sum(size for made, _, size in spans if made < 0)
    most = 0
    for step in range(count):
        held += sum(size for made, _, size in spans if made == step)  # before the step runs
        most = max(most, held)
        held -= sum(size for made, last, size in spans if max(last, made) == step)  # after it ran
    assert peak_alive(spans, count)[0] == most
    assert held == 0


def test_activations_are_computed_with_their_layer_and_a_residual_lives_on(tmp_path: Path) -> None:
    names, flows = tensor_flow(graph_of(conv_chain(), tmp_path))
    assert names == ("first", "depthwise", "pointwise", "add", "pool", "flatten", "classifier")
    found = {flow.name: (flow.made, flow.last, flow.elements, flow.bits) for flow in flows}
    assert found["x"] == (-1, 0, 3 * 8 * 8, 32)
    assert found["a3"] == (0, 3, 8 * 8 * 8, 32)  # into the depthwise layer, and into the Add
    assert found["y"] == (6, 6, 5, 32)
    assert "a2" not in found  # inside a step
