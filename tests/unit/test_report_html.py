"""The report: all in one file, nothing without its ceiling, harmless whatever columns are called."""

import re
from html import unescape

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from made_results import NASTY, made_assessment, made_comparison, made_evaluation, made_provenance, made_result

import longsynth as ls
from longsynth.evaluation.results import Evaluation
from longsynth.exceptions import ConfigError
from longsynth.report import sections
from longsynth.report.advice import what_would_change
from longsynth.report.comparison import Comparison
from longsynth.report.html import write_report
from longsynth.report.profiles import accepted, judge, load_profile
from longsynth.report.profiles.verdict import Line
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime


def nasty_cohort(n=40, seed=0):
    """A cohort whose columns and levels are called what nobody should call them."""
    rng = np.random.default_rng(seed)
    schema = Schema(
        visit_time=VisitTime(column="time"),
        terminal_event=TerminalEvent(duration="end", event="status"),
        static={"trt": StaticColumn(kind="binary", levels=("a", NASTY))},
        channels={NASTY: Channel(kind="continuous", unit="<b>"), "$x$": Channel(kind="continuous")},
    )
    arm = pl.Series(["a", NASTY] * (n // 2))
    static = pl.DataFrame({"patient_id": np.arange(n), "trt": arm, "end": 9.0, "status": rng.integers(0, 2, n)})
    visits = {"patient_id": np.repeat(np.arange(n), 3), "time": np.tile([0.0, 1.0, 2.0], n)}
    visits |= {name: rng.normal(size=3 * n) for name in schema.channels}
    return ls.Cohort(static, pl.DataFrame(visits), schema=schema)


@pytest.fixture(scope="module", autouse=True)
def repair_list():
    """A repair list made by hand: the real one trains classifiers."""
    found = {"feature": [f"{NASTY}.mean"], "column": [f"visits.{NASTY}"], "column_importance": [0.2]}
    found |= {"importance": [0.1], "synthetic_median": [1.5], "real_median": [None]}
    table = pl.DataFrame(found, schema_overrides={"real_median": pl.Float64})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "explain_detection", lambda *_, **__: table)
        yield


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    def write(results, names=("hybrid", NASTY), **cohorts):
        path = tmp_path_factory.mktemp("report") / "report.html"
        synthetic = {name: nasty_cohort(seed=1) for name in names}
        given = {"synthetic": synthetic, "train": nasty_cohort(), "holdout": nasty_cohort(seed=2)} | cohorts
        return write_report(results, path, **given).read_text(encoding="utf-8")

    return write


@pytest.fixture(scope="module")
def page(write):
    return write(made_comparison())


def visible(page):
    """What a person reads, without tags and pictures."""
    return unescape(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<style>.*?</style>|<svg.*?</svg>", "", page)))


def test_it_loads_nothing(page):
    assert set(re.findall(r"""(?:src|href)=["'](data:image/\w+|#|[^"']{1,20})""", page)) == {
        "data:image/svg", "data:image/png", "#",
    } - ({"data:image/png"} if "data:image/png" not in page else set())  # fmt: skip
    without_pictures = re.sub(r"base64,[\w+/=]+", "", page)
    for loaded in ("<script", "<link", "@import", "url(", "http", "<iframe", "srcset"):
        assert loaded not in without_pictures


def test_names_are_text(page):
    assert NASTY not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page


def test_it_is_small_and_fits_phones_and_paper(page):
    assert len(page.encode()) < 1_000_000
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page
    assert "@media print" in page
    assert '<html lang="en">' in page
    assert all(re.findall(r'<img [^>]*alt="([^"]*)"', page))


def test_every_link_leads_to_a_section(page):
    targets = set(re.findall(r'href="#([\w-]+)"', page))
    assert targets <= set(re.findall(r'id="([\w-]+)"', page))
    assert {"compared", "verdict", "results", "pictures", "repairs", "quantiles", "privacy", "untested"} <= targets


def test_no_value_without_its_ceiling(page):
    cells = r'data-head="value \(95 % interval\)">([^<]*)</td>\s*<td[^>]*data-head="two real samples[^"]*">([^<]*)<'
    pairs = re.findall(cells, page)
    assert len(pairs) > 10
    assert all((value == "-") == (ceiling == "-") for value, ceiling in pairs)
    assert any(value == "-" for value, _ in pairs)
    found = re.findall(r'data-head="found">([^<]*)<', page)
    numbers = [text for text in found if re.match(r"-?\d", text)]
    assert numbers
    assert all("two real samples:" in text or "success on the control:" in text or text == "3" for text in numbers)


def test_states_are_said_in_words_and_shapes(page):
    for state in ("pass", "fail", "not assessed"):
        name = state.replace(" ", "-")
        assert re.search(rf'<use href="#{name}"/></svg>{state}</span>', page)
        assert f'<symbol id="{name}"' in page


def test_it_says_what_a_reader_must_know(page):
    text = visible(page)
    assert "Smaller epsilon means stronger privacy" in text
    assert "success, members and control" in text
    assert "Privacy ( <script>alert('x')</script> )" not in text
    assert f"Privacy ({NASTY}): no attack was tried." in text
    assert "Metrics not computed:" in text
    assert "it needs two types of event" in text
    assert "random splits of the real patients (train and holdout)" in text
    for banned in ("anonym", "overall score", "average score", "compliant"):
        assert banned not in text.lower()


def test_attacks_that_were_not_assessed_have_no_risk(page):
    rows = re.findall(r'(?s)data-head="risk \(95 % interval\)">([^<]*)<.*?data-head="reading">.*?</svg>([^<]*)<', page)
    assert [(risk == "-", reading.startswith("not assessed")) for risk, reading in rows] == [
        (False, False), (False, False), (True, True),
    ]  # fmt: skip


def test_many_lines_of_one_check_are_one_line_with_the_worst_state_and_all_below(write):
    rows = made_assessment().frame().filter(pl.col("subset") == "all")
    many = pl.concat([rows.with_columns(part=pl.lit(str(k)), risk_lo=pl.lit(0.2 * (k == 3))) for k in range(9)])
    many = many.with_columns(risk=pl.lit(0.3), risk_hi=pl.when(pl.col("risk_lo") > 0).then(0.4).otherwise(0.05))
    text = visible(
        write(Comparison({"synthetic": made_evaluation()}, {"synthetic": many}, use_case="trial_design"), ["synthetic"])
    )
    assert "9 lines; worst: sequence_linkage, 3" in text
    assert "1 fail, 8 pass" in text
    assert "All 9 lines of the checks that have many" in text


def test_without_attacks_and_use_case_it_says_so(write):
    page = write(made_evaluation(), names=["synthetic"], holdout=None, train=nasty_cohort())
    text = visible(page)
    assert "Nothing in this report says anything about privacy" in text
    assert "Verdict" not in text
    assert "real, held out" not in text


def test_the_same_results_give_the_same_bytes(write, page):
    assert write(made_comparison()) == page


def test_overrides_are_printed(write):
    mine = {"base": "trial_design", "checks": {"marginals": {"limit": 0.01}}}
    comparison = Comparison({"synthetic": made_evaluation()}, use_case=mine)
    assert "marginals.limit: 0.01 instead of 0.05" in visible(write(comparison, names=["synthetic"]))


def test_names_must_agree(write):
    with pytest.raises(ConfigError, match="the cohorts are other"):
        write(made_evaluation(), names=["other"])


@pytest.mark.parametrize(
    "name", ["one patient", "no terminal event", "static only", "dates", "a channel never observed"]
)
def test_awkward_cohorts_have_a_report(name, tmp_path):
    cohort = awkward_cohorts()[name]
    results = Comparison({"synthetic": made_evaluation()}, {"synthetic": made_assessment().frame()})
    evaluation = results.evaluations["synthetic"]
    path = write_report(evaluation, tmp_path / "report.html", synthetic=cohort, train=cohort)
    assert path.stat().st_size > 10_000


# ------------------------------------------------------------------------------------------------------- advice


def line(**facts):
    plain = {"model": "m", "group": "fidelity", "check": "marginals", "title": "t", "subject": "ks", "state": "warn"}
    plain |= {"limit": "", "source": "", "required": True, "n": 100, "value": 0.10, "lo": 0.07, "hi": 0.13}
    return Line(**(plain | facts))


CHECK = load_profile({"base": "trial_design", "checks": {"marginals": {"limit": 0.02}}}).checks["marginals"]


def test_accepted_values_follow_the_rule_and_the_side_that_is_worse():
    assert accepted(CHECK, made_result(ceiling=0.09)) == (-np.inf, pytest.approx(0.11))
    assert accepted(CHECK, made_result(ceiling=0.09, worse="lower")) == (pytest.approx(0.07), np.inf)
    assert accepted(CHECK, made_result(ceiling=0.09, worse="both")) == (pytest.approx(0.07), pytest.approx(0.11))
    band = CHECK.model_copy(update={"rule": "band", "limit": None})
    assert accepted(band, made_result(worse="both")) == (0.05, 0.14)
    value = CHECK.model_copy(update={"rule": "value"})
    assert accepted(value, made_result(best=0.5)) == (-np.inf, pytest.approx(0.52))


def test_a_warning_says_how_many_patients_decide():
    """The interval reaches 0.03 above the value, the limit is 0.01 above: a third of its length, nine times the n."""
    assert "About 900 patients a side (100 now) would make it a pass" in what_would_change(line(), CHECK, made_result())
    worse = line(value=0.12, lo=0.10, hi=0.14)
    assert "About 400 patients a side (100 now) would make it a fail" in what_would_change(worse, CHECK, made_result())
    at_limit = line(value=0.11, lo=0.10, hi=0.12)
    assert "at the limit" in what_would_change(at_limit, CHECK, made_result(ceiling=0.09))


def test_a_number_of_patients_that_the_judge_does_not_compare_is_said_to_be_so():
    many = what_would_change(line(n=1000), CHECK, made_result())
    assert many == "About 9,000 patients a side (1,000 now) would make it a pass, all else equal; " + (
        "the judge compares at most 1,000."
    )
    costly = what_would_change(line(subject="coverage"), CHECK, made_result("coverage"))
    assert costly.endswith("the judge compares at most 400.")
    own = what_would_change(line(n=1000), CHECK, made_result("my_metric"))
    assert own.endswith("all else equal.")


def test_a_band_that_narrows_with_more_patients_is_not_passed_by_more_patients():
    band = CHECK.model_copy(update={"rule": "band", "limit": None})
    assert "a value closer to the ceiling" in what_would_change(line(), band, made_result())


def test_a_line_about_a_part_names_it_in_words_and_has_its_own_limits():
    profile = {"base": "trial_design", "checks": {"visits": {"metrics": ["odd"], "limit": 0.02}}}
    evaluation = Evaluation((made_result("odd", part="static.age"),), made_provenance())
    verdict = judge(load_profile(profile), {"m": evaluation}, {}, {})
    lines = [one for group in sections.judged(verdict, {"m": evaluation})["groups"] for one in group["lines"]]
    (found,) = [one for one in lines if one["subject"] == "Title of odd: static.age"]
    assert found["state"] == "warn" and "About" in found["change"] and "pass" in found["change"]


@pytest.mark.parametrize("group", ["fidelity", "privacy"])
@pytest.mark.parametrize("state", ["fail", "not assessed"])
def test_every_state_but_pass_has_advice(group, state):
    advice = what_would_change(line(group=group, state=state), CHECK, made_result())
    assert advice.endswith(".")
    assert what_would_change(line(group=group, state="pass"), CHECK, made_result()) is None
