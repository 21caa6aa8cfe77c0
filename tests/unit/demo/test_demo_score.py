import polars as pl
import pyarrow as pa
import pytest

from cdp.demo.score import score
from cdp.domain.errors import InputError

# Person 1 has client a1, user u1 and two addresses; person 2 has client b1 and user u2; the
# tablet is shared. All is consented but the second address of person 1.
TRUTH = [
    ("client_id", "a1", 1, False),
    ("user_id", "u1", 1, False),
    ("email", "ada@example.com", 1, False),
    ("email", "ada@example.org", 1, False),
    ("client_id", "b1", 2, False),
    ("user_id", "u2", 2, False),
    ("client_id", "tablet", None, True),
]
EVIDENCE = [
    ("client_id", "a1", "user_id", "u1", True),
    ("user_id", "u1", "email", "ada@example.com", True),
    ("user_id", "u1", "email", "ada@example.org", False),
    ("client_id", "b1", "user_id", "u2", True),
    ("client_id", "tablet", "user_id", "u1", True),
    ("client_id", "tablet", "user_id", "u2", True),
    ("client_id", "a1", "user_id", "null", True),
    ("client_id", "b1", "user_id", "null", True),
    ("client_id", "b1", "email", "ada@example.com", True),  # typed on somebody else's device
]
ADA = ("client_id:a1", "user_id:u1", "email:ada@example.com")
BOB = ("client_id:b1", "user_id:u2")


@pytest.fixture
def truth(tmp_path):
    columns = ["type", "value", "person", "shared"]
    pl.DataFrame(TRUTH, columns, orient="row").write_parquet(tmp_path / "truth.parquet")
    columns = ["a_type", "a_value", "b_type", "b_value", "granted"]
    evidence = pl.DataFrame(EVIDENCE, columns, orient="row")
    evidence.with_columns(closed=False).write_parquet(tmp_path / "truth_evidence.parquet")
    return tmp_path


def clusters(*profiles):
    rows = [
        (*member.split(":"), f"p{n}") for n, members in enumerate(profiles) for member in members
    ]
    return pl.DataFrame(rows, ["type", "value", "profile_id"], orient="row")


def test_who_denies_to_be_joined_in_the_end_is_joined_by_nothing(truth):
    file = truth / "truth_evidence.parquet"
    evidence = pl.read_parquet(file)
    evidence.with_columns(closed=pl.col("a_value") == "b1").write_parquet(file)
    assert score(truth, clusters(ADA)).joinable_pairs == 3


def test_joining_what_consented_evidence_joins_is_perfect(truth):
    result = score(truth, clusters(ADA, BOB, ("email:ada@example.org",), ("client_id:tablet",)))
    assert (result.precision, result.recall) == (1.0, 1.0)
    assert (result.joined_pairs, result.true_pairs, result.joinable_pairs) == (4, 4, 4)
    assert result.wrong_pairs == result.split_people == result.mixed_profiles == 0


def test_an_arrow_table_scores_as_the_same_frame(truth):
    frame = clusters(ADA, BOB)
    assert score(truth, pa.table(frame.to_dict(as_series=False))) == score(truth, frame)


def test_two_people_in_one_profile_cost_precision_only(truth):
    result = score(truth, clusters(ADA + BOB))
    assert (result.joined_pairs, result.true_pairs, result.mixed_pairs) == (10, 4, 6)
    assert result.mixed_profiles == 1
    assert (result.precision, result.recall) == (0.4, 1.0)


def test_a_person_in_two_profiles_costs_recall_only(truth):
    result = score(truth, clusters(ADA[:1], ADA[1:], BOB))
    assert (result.precision, result.recall) == (1.0, 0.5)
    assert result.split_people == 1


def test_an_identifier_that_no_profile_holds_counts_as_not_joined(truth):
    result = score(truth, clusters(ADA[1:], BOB))
    assert (result.precision, result.recall) == (1.0, 0.5)
    assert result.split_people == 1


def test_every_pair_with_a_shared_device_is_wrong(truth):
    result = score(truth, clusters((*ADA, "client_id:tablet"), BOB))
    assert (result.joined_pairs, result.true_pairs, result.shared_pairs) == (7, 4, 3)
    assert result.mixed_profiles == 0
    assert result.recall == 1.0


def test_every_pair_with_a_value_that_is_nobodys_is_wrong(truth):
    result = score(truth, clusters((*ADA, *BOB, "client_id:tablet", "user_id:null")))
    assert (result.shared_pairs, result.stray_pairs, result.mixed_pairs) == (6, 5, 6)
    assert result.wrong_pairs == 17


def test_a_pair_joined_without_consent_is_true_but_helps_no_recall(truth):
    result = score(truth, clusters((*ADA, "email:ada@example.org"), BOB))
    assert (result.precision, result.recall) == (1.0, 1.0)
    assert (result.true_pairs, result.found_pairs, result.unconsented_pairs) == (7, 4, 3)


def test_joining_nothing_is_precise_and_recalls_nothing(truth):
    result = score(truth, clusters(*((member,) for member in ADA + BOB)))
    assert (result.precision, result.recall) == (1.0, 0.0)
    assert result.split_people == 2


def test_other_types_and_repeated_rows_change_nothing(truth):
    frame = clusters(ADA, BOB)
    more = pl.concat([frame, frame, clusters(("session:1", "session:2"))])
    assert score(truth, more) == score(truth, frame)


def test_an_identifier_in_two_profiles_is_refused(truth):
    with pytest.raises(InputError, match="1 identifiers are in more than one profile"):
        score(truth, clusters(ADA, ADA[:1]))


def test_a_folder_without_truth_is_named(tmp_path):
    with pytest.raises(InputError, match=r"truth\.parquet is missing"):
        score(tmp_path, clusters(ADA))


def test_a_long_chain_of_one_person_is_one_component(tmp_path):
    ids = [f"c{n}" for n in range(2_000)]
    pl.DataFrame({"type": "client_id", "value": ids, "person": 1, "shared": False}).write_parquet(
        tmp_path / "truth.parquet"
    )
    pl.DataFrame(
        {
            "a_type": "client_id",
            "a_value": ids[1:],
            "b_type": "client_id",
            "b_value": ids[:-1],
            "granted": True,
            "closed": False,
        }
    ).write_parquet(tmp_path / "truth_evidence.parquet")
    result = score(tmp_path, clusters([f"client_id:{i}" for i in ids]))
    assert result.joined_pairs == result.joinable_pairs == 1_999_000
