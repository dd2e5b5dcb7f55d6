"""A graph with a layer of every kind."""

from __future__ import annotations

import pytest

from quant_core.graph import Graph
from tests.models import graph_of, zoo


@pytest.fixture(scope="session")
def zoo_graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The prepared graph of `zoo`."""
    return graph_of(zoo(), tmp_path_factory.mktemp("zoo"))
