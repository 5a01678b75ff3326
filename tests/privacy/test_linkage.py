"""Linkage sees copies and the more the more there are, leaves fresh patients alone, and its baselines are right."""

import numpy as np
import pytest
from attack_worlds import CONTROL, FRESH, MEMBERS, by_part, copies, is_flagged, rates, release, risk, table_of_levels
from metric_worlds import dealt_across_patients, world

from longsynth import load_pbc, split
from longsynth.exceptions import NotComputableError
from longsynth.privacy.attacks.linkage import CANDIDATES, _nearest_in_both, linkage
from longsynth.privacy.base import Knowledge, prepare_release

ALL = Knowledge(k=2, static=None)
CUTS = ("early and late visits", "two groups of channels", "static row and visits")
GAMES = ("same nearest patient", "among candidates")
PARTS = [f"{cut}, {game}" for cut in CUTS for game in GAMES]


def found(synthetic, knowledge=ALL, seed=0):
    return by_part(linkage(release(synthetic), knowledge, seed))


@pytest.fixture(scope="module")
def ladder():
    return [found(copies(share)) for share in (0, 0.1, 0.5, 1)]


def test_every_part_is_tried(ladder):
    assert [list(rung) for rung in ladder] == [PARTS] * 4


def test_members_word_for_word_are_linked(ladder):
    for part in PARTS:
        assert rates(ladder[-1][part])[0] > 0.8, part
        assert is_flagged(ladder[-1][part]), part


def test_fresh_patients_are_not(ladder):
    assert not any(is_flagged(ladder[0][part]) for part in PARTS)


def test_the_risk_grows_with_the_share_of_copies(ladder):
    for part in PARTS:
        risks = [risk(rung[part]) for rung in ladder]
        assert risks[1] < risks[2] < risks[3]
        assert risks[2] == pytest.approx(0.5, abs=0.15)
    assert sum(is_flagged(ladder[1][part]) for part in PARTS) >= 3  # a tenth of the release is copied


def test_the_risk_falls_with_noise_on_the_copies():
    noises = (0.01, 0.05, 0.5)
    parts = [found(copies(1.0, noise)) for noise in noises]
    for part in PARTS[:2]:
        risks = [risk(rung[part]) for rung in parts]
        assert risks[0] >= risks[1] > risks[2]
        assert is_flagged(parts[1][part])


def test_copies_whose_visits_were_dealt_to_others_link_nobody():
    dealt = found(dealt_across_patients(MEMBERS))
    assert not is_flagged(dealt[PARTS[0]])
    assert not is_flagged(dealt[PARTS[1]])


def test_vague_knowledge_links_fewer():
    exact, vague = (found(copies(1.0), knowledge) for knowledge in (ALL, Knowledge(k=2, static=None, value_noise=0.5)))
    assert risk(vague[PARTS[0]]) < risk(exact[PARTS[0]]) - 0.2


def test_baselines():
    parts = found(FRESH)
    for cut in CUTS:
        assert parts[f"{cut}, same nearest patient"].naive == pytest.approx(1 / FRESH.n_patients)
        assert parts[f"{cut}, among candidates"].naive == pytest.approx(1 / CANDIDATES)
    direct = [parts[f"{cut}, among candidates"].direct for cut in CUTS]
    n = len(parts[PARTS[3]].members) + len(parts[PARTS[3]].control)
    chance = 1 / CANDIDATES + 4 * np.sqrt(1 / CANDIDATES / n)
    assert max(direct[1:]) < chance  # nothing in common


def test_halves_of_one_record_resemble_each_other_without_a_release():
    members, rest = split(load_pbc(), holdout=2 / 3, seed=0)
    control, fresh = split(rest, holdout=0.5, seed=0)
    parts = [
        by_part(linkage(prepare_release(made, members, control), Knowledge(k=2), 0))[PARTS[1]]
        for made in (fresh, members)
    ]
    assert all(part.direct > 5 / CANDIDATES for part in parts)
    assert parts[0].direct == pytest.approx(parts[1].direct, abs=0.05)  # only the scale is the release's
    assert rates(parts[0])[0] < parts[0].direct < rates(parts[1])[0]  # a copy tells more than the halves themselves


def test_copies_are_found_among_ties():
    """Parts of few levels tie many synthetic patients; a copy tied in both parts still counts."""
    members, control = table_of_levels(500, 1), table_of_levels(500, 2)
    parts = by_part(linkage(prepare_release(members, members, control), Knowledge(k=1), 0))
    same, among = (parts[f"two groups of channels, {game}"] for game in GAMES)
    assert rates(same)[0] > 0.7
    assert rates(among)[0] > 0.9
    assert is_flagged(same)
    assert is_flagged(among)


def test_ties_of_both_parts_are_broken_alike():
    """The chance of the same nearest patient is the share that the tied ones have in common, here 1 of 4."""
    one, other = (np.tile(np.array(row, dtype=np.float32), (4000, 1)) for row in ([0, 0, 0, 1], [1, 1, 0, 0]))
    same = _nearest_in_both(one, other, 0, ("ties",))
    assert same.mean() == pytest.approx(1 / 4, abs=4 * np.sqrt(3 / 16 / 4000))
    assert _nearest_in_both(one, one, 0, ("ties",)).all()


def test_constant_records_tie_everywhere_and_flag_nothing():
    members, control, made = (table_of_levels(200, seed, n_levels=1) for seed in (1, 2, 3))
    parts = by_part(linkage(prepare_release(made, members, control), Knowledge(k=1), 0))
    assert rates(parts["two groups of channels, same nearest patient"]) == (1, 1)
    assert not is_flagged(parts["two groups of channels, among candidates"])


def test_a_cut_that_cannot_be_made_has_its_reason():
    parts = by_part(linkage(release(FRESH), Knowledge(k=2, channels=("marker",)), 0))
    assert "fewer than two channels" in parts["two groups of channels"].reason
    assert "no static attribute" in parts["static row and visits"].reason
    assert "none of the members" in by_part(linkage(release(FRESH), Knowledge(k=4), 0))[CUTS[0]].reason
    with pytest.raises(NotComputableError, match="none of the members"):
        linkage(release(FRESH), Knowledge(k=9, channels=("marker",)), 0)


def test_several_draws_and_several_places_are_several_trials():
    draws = by_part(linkage(release([FRESH, world(150, 9)]), ALL, 0))[PARTS[0]]
    one = found(FRESH)[PARTS[0]]
    assert len(draws.members) == 2 * len(one.members)
    assert set(draws.control.draw) == {0, 1}
    places = found(FRESH, Knowledge(k=2, which="all"))[PARTS[0]]
    assert len(places.members) > len(one.members)
    np.testing.assert_array_equal(np.unique(places.members.target), np.unique(one.members.target))


def test_targets_are_drawn_where_there_are_many():
    few = linkage(release(FRESH, n_targets=20), ALL, 0)
    assert all(len(outcome.members) == len(outcome.control) == 20 for outcome in few)
    assert CONTROL.n_patients > 20
