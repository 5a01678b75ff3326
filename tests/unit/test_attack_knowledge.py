"""What an attacker knows: words, presets, and what is refused."""

import pytest
from attack_worlds import MEMBERS

from longsynth.exceptions import ConfigError
from longsynth.privacy.knowledge import PRESETS, Knowledge, preset

SCHEMA = MEMBERS.schema


def test_it_says_what_is_known():
    known = Knowledge(k=1, which="last", channels=("marker",), static=None, time="jittered", jitter=30, value_noise=0.1)
    words = known.describe()
    for part in ("1 visit, last", "channels marker", "all static", "10%", "off by up to 30", "no reference"):
        assert part in words


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"which": "some"},
        {"time": "roughly"},
        {"jitter": 3.0},
        {"time": "jittered"},
        {"value_noise": -0.1},
    ],
)
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(ConfigError):
        Knowledge(**wrong)


def test_presets_go_from_a_glance_to_the_full_record():
    known = [preset(name, SCHEMA) for name in PRESETS]
    assert [one.name for one in known] == list(PRESETS)
    assert known[0].channels == ("marker",)
    assert known[0].static == ("arm", "age")
    assert known[1].jitter == 30
    assert known[-1].which == "all"
    hours = preset("relative", SCHEMA.model_copy(update={"time_unit": "hours"}))
    assert hours.jitter == pytest.approx(720)
    with pytest.raises(ConfigError, match="glance"):
        preset("spy", SCHEMA)


def test_names_are_looked_up_in_the_schema():
    known = Knowledge(channels=("grade", "marker"), static=("age",))
    assert known.known_channels(SCHEMA) == ("marker", "grade")
    assert known.known_static(SCHEMA) == ("age",)
    with pytest.raises(ConfigError, match="a channel that the schema lacks: weight"):
        Knowledge(channels=("weight",)).known_channels(SCHEMA)
    with pytest.raises(ConfigError, match="static attribute"):
        Knowledge(static=("weight",)).known_static(SCHEMA)
