import datetime as dt

import polars as pl
import pytest
from awkward import awkward_cohorts, plain_schema, plain_tables
from polars.testing import assert_frame_equal

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.formats import read_cohort, read_table, write_cohort
from longsynth.exceptions import CohortError, ConfigError
from longsynth.schema.files import write_schema
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime

AWKWARD = awkward_cohorts()
FORMATS = ("parquet", "csv")


def read_back(cohort: Cohort, folder, format: str) -> Cohort:
    static, *visits = write_cohort(cohort, folder, format)
    return read_cohort(*visits, static=static, schema=cohort.schema)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", AWKWARD)
def test_what_is_written_is_read_back(name, format, tmp_path):
    cohort = AWKWARD[name]
    again = read_back(cohort, tmp_path, format)
    ids = pl.col(cohort.schema.patient_id)
    if format == "csv" and cohort.static.schema[cohort.schema.patient_id].is_integer():
        again = Cohort(
            again.static.with_columns(ids.cast(pl.Int64)),
            again.visits.with_columns(ids.cast(pl.Int64)),
            schema=cohort.schema,
        )
    assert_frame_equal(again.static, cohort.static)
    assert_frame_equal(again.visits, cohort.visits)


@pytest.mark.parametrize("format", FORMATS)
def test_file_names_and_their_tables(format, tmp_path):
    folder = tmp_path / "new" / "folder"
    assert write_cohort(AWKWARD["dates"], folder, format) == [folder / f"static.{format}", folder / f"visits.{format}"]
    assert sorted(path.name for path in folder.iterdir()) == [f"static.{format}", f"visits.{format}"]
    static = read_table(folder / f"static.{format}")
    assert static.columns == ["patient_id", "age", "arm", "entry", "birth", "followup", "status"]
    if format == "parquet":
        assert static.schema["followup"] == pl.Date
    assert write_cohort(AWKWARD["static only"], tmp_path, format) == [tmp_path / f"static.{format}"]


def test_a_derived_baseline_is_not_written(tmp_path):
    write_cohort(AWKWARD["datetimes"], tmp_path)
    assert "admission" not in read_table(tmp_path / "static.parquet").columns


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="parquet, csv"):
        write_cohort(AWKWARD["plain"], tmp_path, "xlsx")
    with pytest.raises(CohortError, match="tables end in parquet, csv"):
        read_table(tmp_path / "visits.xlsx")
    with pytest.raises(CohortError, match="there is no such file"):
        read_table(tmp_path / "visits.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CohortError, match="there is no such file"):
        read_table(tmp_path / "folder.csv")


def test_schema_may_be_a_file_and_tables_may_be_mixed(tmp_path):
    static, visits = plain_tables()
    visits.write_csv(tmp_path / "visits.csv")
    path = write_schema(plain_schema(), tmp_path / "schema.yaml")
    cohort = read_cohort(str(tmp_path / "visits.csv"), static=static.to_pandas(), schema=path)
    assert_frame_equal(cohort.visits, AWKWARD["plain"].visits)
    with pytest.raises(ConfigError, match="neither"):
        read_cohort(schema=path)


def test_a_flat_table_is_folded(tmp_path):
    static, visits = plain_tables()
    flat = visits.join(static, on="patient_id")
    flat.write_csv(tmp_path / "flat.csv")
    for source in (flat, flat.to_pandas(), tmp_path / "flat.csv"):
        cohort = read_cohort(source, schema=plain_schema())
        assert_frame_equal(cohort.static, AWKWARD["plain"].static)
        assert_frame_equal(cohort.visits, AWKWARD["plain"].visits)
        assert not any("left out" in note for note in cohort.notes)


def test_a_flat_table_with_static_values_on_one_row_only_is_folded():
    static, visits = plain_tables()
    last = pl.col("day") == pl.col("day").max().over("patient_id")
    flat = visits.join(static, on="patient_id").with_columns(age=pl.when(last).then("age"))
    assert_frame_equal(read_cohort(flat, schema=plain_schema()).static, AWKWARD["plain"].static)


def test_a_flat_table_with_changing_static_columns_is_refused():
    static, visits = plain_tables()
    flat = visits.join(static, on="patient_id").with_columns(
        age=pl.col("age") + pl.col("day"),
        arm=pl.when(pl.col("patient_id") == "p03").then(pl.col("day") % 2).otherwise("arm"),
    )
    with pytest.raises(CohortError) as caught:
        read_cohort(flat, schema=plain_schema())
    assert "static.age: 9 patients with more than one value; declare it as a channel" in str(caught.value)
    assert "static.arm: 1 patient with more than one value" in str(caught.value)


def test_a_flat_table_without_its_columns_is_refused():
    _, visits = plain_tables()
    with pytest.raises(CohortError, match="static: there is no column 'age'"):
        read_cohort(visits, schema=plain_schema())
    with pytest.raises(CohortError, match="there is no column 'patient_id'"):
        read_cohort(visits.drop("patient_id"), schema=plain_schema())


ONE_CHANNEL = Schema(visit_time=VisitTime(column="day"), channels={"x": Channel(kind="continuous")})


def read_csv(tmp_path, content: bytes | str, schema: Schema = ONE_CHANNEL) -> Cohort:
    path = tmp_path / "visits.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_cohort(path, schema=schema)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the file is empty"),
        (b"  \n\n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        ("patient_id,day,x\n", "static: the table has no rows"),
        (b"patient_id,day,x\na,0,1\nM\xfcller,1,2\n", "visits.csv, line 3: not UTF-8 text; save the file as UTF-8"),
        ("patient_id,day,x\na,0,1\n".encode("utf-16"), "line 1: not UTF-8 text"),
        ("patient_id;day;x\na;0;1\n", "the fields are not separated by commas"),
        ("patient_id\tday\tx\na\t0\t1\n", "the fields are not separated by commas"),
        ("patient_id,day,x,x\na,0,1,1\n", "two columns have the same name"),
        (
            "patient_id,day,x\na,0,1\nb,0\nc,0,1,7777\n",
            "2 rows with more or fewer fields than the header; quote values",
        ),
        ("patient_id,day,x\na,0,1\nb,0,7777 mg\n", "visits.x: 1 row with text that is not a number"),
        ("patient_id,day,x\na,0,1\nb,tuesday,2\n", "visits.day: 1 row with text that is not a number"),
        ('patient_id,day,x\na,0,1\nb,0,"7777\n', "a quote is opened and never closed"),
    ],
)
def test_bad_csv_files_are_refused(content, complaint, tmp_path):
    with pytest.raises(CohortError) as caught:
        read_csv(tmp_path, content)
    assert complaint in str(caught.value)
    assert "7777" not in str(caught.value) and caught.value.__cause__ is None


def test_csv_ids_stay_text_and_empty_fields_are_missing(tmp_path):
    cohort = read_csv(tmp_path, "patient_id,day,x\n001,0,1\n001,1,\n01,0,NA\n1,0,null\n1,1,\n")
    assert cohort.static["patient_id"].to_list() == ["001", "01", "1"]
    assert cohort.visits["x"].to_list() == [1, None, None, None, None]


def test_csv_whole_numbers_stay_integers(tmp_path):
    cohort = read_csv(tmp_path, "patient_id,day,x\na,0,1\na,1,2\n")
    assert cohort.visits.schema["x"] == cohort.visits.schema["day"] == pl.Int64
    assert read_csv(tmp_path, "patient_id,day,x\na,0,1.0\na,1,2\n").visits.schema["x"] == pl.Float64


@pytest.mark.parametrize(
    "content", ["\ufeffpatient_id,day,x\na,0,1\n", "patient_id,day,x\r\na,0,1\r\n", "patient_id,day,x\na,0, 1"]
)
def test_csv_byte_order_mark_line_ends_and_spaces_are_tolerated(content, tmp_path):
    assert read_csv(tmp_path, content).visits.rows() == [("a", 0, 1)]


def test_csv_names_and_levels_with_commas_and_quotes(tmp_path):
    schema = Schema(
        visit_time=VisitTime(column="the day"),
        channels={"x, or y": Channel(kind="categorical", levels=("a,b", 'c"d', "e\nf"))},
    )
    text = 'patient_id,the day,"x, or y"\n1,0,"a,b"\n1,1,"c""d"\n1,2,"e\nf"\n'
    assert read_csv(tmp_path, text, schema).visits["x, or y"].to_list() == ["a,b", 'c"d', "e\nf"]


def test_csv_line_breaks_in_values_of_a_long_file(tmp_path):
    (tmp_path / "long.csv").write_text("id,note\n" + '1,"one\ntwo\n\nthree"\n' * 100_000)
    assert (read_table(tmp_path / "long.csv")["note"] == "one\ntwo\n\nthree").all()


def test_csv_dates(tmp_path):
    schema = Schema(
        visit_time=VisitTime(column="day", kind="date", origin="entry"), static={"entry": StaticColumn(kind="date")}
    )
    cohort = read_csv(tmp_path, "patient_id,entry,day\na,2024-02-28,2024-03-01\na,2024-02-28,2024-02-28\n", schema)
    assert cohort.visits["day"].to_list() == [0, 2]
    assert cohort.tables()[1]["day"].to_list() == [dt.date(2024, 2, 28), dt.date(2024, 3, 1)]
    with pytest.raises(CohortError, match=r"visits.day: 1 row with text that is not an ISO date such as 2024-01-31"):
        read_csv(tmp_path, "patient_id,entry,day\na,2024-02-28,2024-03-01\na,2024-02-28,28.2.24\n", schema)


@pytest.mark.parametrize("content", [b"", b"no parquet", b"PAR1 cut short"])
def test_damaged_parquet_files_are_refused(content, tmp_path):
    (tmp_path / "visits.parquet").write_bytes(content)
    with pytest.raises(CohortError, match=r"visits.parquet: not a readable Parquet file"):
        read_cohort(tmp_path / "visits.parquet", schema=ONE_CHANNEL)


def test_parquet_with_nan_and_unsigned_integers(tmp_path):
    frame = pl.DataFrame({"patient_id": [1, 1], "day": pl.Series([0, 1], dtype=pl.UInt8), "x": [float("nan"), 2.0]})
    frame.write_parquet(tmp_path / "visits.parquet")
    cohort = read_cohort(tmp_path / "visits.parquet", schema=ONE_CHANNEL)
    assert cohort.visits["x"].to_list() == [None, 2.0]
    assert cohort.visits["day"].to_list() == [0, 1]
