"""The site all contract tests share."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract_site import Site, register_hooks, running_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running front-end with the recorded front-end's hooks."""
    with running_site(tmp_path_factory.mktemp("contract")) as made:
        register_hooks(made)
        yield made
