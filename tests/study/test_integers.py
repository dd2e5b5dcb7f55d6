"""A layer in integers: measured once, kept, and each output followed to the code that the operator gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quant_core.engine import integer_model, make_session, run
from quant_core.errors import PlanError
from quant_core.study import INTEGER_WEIGHTS, Study, follow, known_integers, why_no_integers
from quant_core.study.integers import measure_integers


@pytest.mark.parametrize("weights", INTEGER_WEIGHTS, ids=str)
def test_it_is_measured_once_and_kept(open_study: Callable[..., Study], weights: object) -> None:
    study = open_study()
    layer = study.graph.quantizable[1]
    assert why_no_integers(study, layer) is None
    assert known_integers(study, layer, weights) is None
    measured = measure_integers(study, layer, weights)
    kept = known_integers(study, layer, weights)
    assert kept is not None
    assert kept.found == measured.found
    assert kept.found.differ == 0
    assert kept.counts.sum() == pytest.approx(kept.found.outputs)
    assert -(1 << (kept.bits - 1)) <= kept.found.low <= kept.found.high < 1 << (kept.bits - 1)
    for path in (study.store.path.parent / "integers").iterdir():
        path.write_bytes(b"no archive")
    assert known_integers(study, layer, weights) is None


def test_each_output_ends_at_the_code_of_the_operator(open_study: Callable[..., Study]) -> None:
    study = open_study()
    for layer in (study.graph.quantizable[1], study.graph.quantizable[2], study.graph.quantizable[-1]):
        known = measure_integers(study, layer, INTEGER_WEIGHTS[2])
        node = next(n for n in study.graph.model.graph if n.name == layer.name)
        model = integer_model(known.form, node, known.operands.unsigned(), known.first_input.ndim)
        codes = known.form.output_rows(run(make_session(model, "shipped"), {"x": known.first_input})[0])
        rng = np.random.default_rng(0)
        for _ in range(8):
            row, channel = rng.integers(known.rows), rng.integers(known.form.channels)
            found = follow(layer, known, int(row), int(channel))
            values = {step.name: step.value for step in found.steps}
            assert values["Output code"] == codes[row, channel]
            names = [step.name for step in found.steps]
            terms = found.steps[: names.index("Accumulator")]
            assert sum(step.value for step in terms) == values["Accumulator"]
            assert found.products["sum"].iloc[-1] == values["Sum of products of codes"]
            assert found.same == (found.fixed[-1].value == values["Output code"])
            exact = known.first_output[row, channel]
            assert values["Error"] == pytest.approx(values["Its value"] - exact, abs=1e-6)


def test_without_calibration_there_is_one_sentence(open_study: Callable[..., Study]) -> None:
    study = open_study(calibration="none")
    with pytest.raises(PlanError, match="nothing to calibrate"):
        measure_integers(study, study.graph.quantizable[0], INTEGER_WEIGHTS[0])
