"""Shadow models tell a synthesizer that copies from one that never looks at its patients."""

import pytest
from attack_worlds import MEMBERS
from metric_worlds import world

from longsynth.exceptions import ConfigError
from longsynth.privacy.shadow import shadow_membership


def test_a_synthesizer_that_copies_gives_its_patients_away():
    found = shadow_membership(lambda cohort, n, seed: cohort, MEMBERS, n_targets=4, n_shadows=24)
    assert found.flagged
    assert found.auc > 0.95
    assert found.n_members + found.n_control == 96
    assert found.subset == "isolated"


def test_a_synthesizer_that_never_looks_gives_nobody_away():
    found = shadow_membership(lambda cohort, n, seed: world(n, seed % 1000), MEMBERS, n_targets=4, n_shadows=24)
    assert not found.flagged
    again = shadow_membership(lambda cohort, n, seed: world(n, seed % 1000), MEMBERS, n_targets=4, n_shadows=24)
    assert again == found


def test_too_few_shadows_are_refused():
    with pytest.raises(ConfigError, match="8 shadows"):
        shadow_membership(lambda cohort, n, seed: cohort, MEMBERS, n_shadows=4)
