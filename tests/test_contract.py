"""Contracts: what they refuse, and how two are compared."""

import pytest
from pydantic import ValidationError

from robot_learning.contract import Contract, Feature, StreamSpec, parse_unit
from robot_learning.errors import ContractMismatch, UnknownName
from robot_learning.rig import load_rig


def stream(**changes) -> StreamSpec:
    return StreamSpec(**({"name": "x", "shape": (3,), "dtype": "float64", "unit": "m", "rate_hz": 100} | changes))


@pytest.fixture
def contract() -> Contract:
    return load_rig("panda_sim").contract()


def changed(contract: Contract, name: str, **changes) -> Contract:
    streams = [s.model_copy(update=changes) if s.name == name else s for s in contract.streams]
    return contract.model_copy(update={"streams": tuple(streams)})


def test_json_round_trip_keeps_the_digest(contract):
    again = Contract.model_validate(contract.to_json())
    assert again == contract
    assert again.digest() == contract.digest()


def test_the_rigs_name_is_not_part_of_the_digest(contract):
    assert contract.model_copy(update={"rig": "other"}).digest() == contract.digest()


@pytest.mark.parametrize(
    ("field", "value"), [("shape", (8,)), ("dtype", "float32"), ("unit", "m"), ("rate_hz", 50.0), ("frame", "world")]
)
def test_a_mismatch_names_the_field_and_both_sides(contract, field, value):
    other = changed(contract, "joint_position", **{field: value})
    with pytest.raises(ContractMismatch) as error:
        contract.require_match(other, "the checkpoint", "the rig")
    message = str(error.value)
    assert f"{field} of feature 'joint_position'" in message
    assert str(value) in message
    assert str(getattr(contract.stream("joint_position"), field)) in message


def test_only_the_features_in_use_must_match(contract):
    other = changed(contract, "front", shape=(64, 64, 3))
    contract.require_match(other, "a", "b", features=["joint_position", "action"])
    with pytest.raises(ContractMismatch, match="front"):
        contract.require_match(other, "a", "b")


def test_another_robot_is_refused(contract):
    with pytest.raises(ContractMismatch, match="robot"):
        contract.require_match(contract.model_copy(update={"robot": "stretch"}), "a", "b")


def test_an_unknown_feature_gets_the_closest_match(contract):
    with pytest.raises(UnknownName, match="did you mean 'joint_position'"):
        contract.feature("joint_positon")


def test_mixed_units_must_add_up():
    assert parse_unit("m[3] rotation_6d[6] m[1]", (10,)) == (("m", 3), ("rotation_6d", 6), ("m", 1))
    with pytest.raises(ValueError, match="describes 9 values"):
        parse_unit("m[3] rotation_6d[6]", (10,))
    with pytest.raises(ValueError, match="unknown unit 'furlong'"):
        parse_unit("furlong", (1,))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Bad Name"},
        {"unit": "furlong"},
        {"rate_hz": 0},
        {"codec": "jpeg"},
        {"codec": "depth"},
        {"unknown": 1},
    ],
)
def test_a_stream_that_breaks_a_rule_is_refused(changes):
    with pytest.raises(ValidationError):
        stream(**changes)


def test_slerp_needs_quaternions_and_linear_needs_floats():
    for spec, alignment in ((stream(), "slerp"), (stream(dtype="int32"), "linear")):
        with pytest.raises(ValidationError, match=f"{alignment} needs"):
            Contract(
                rig="r", robot="r", policy_rate_hz=10, streams=(spec,),
                features=(Feature(name="x", stream="x", role="observation", alignment=alignment, max_age_s=1),),
            )  # fmt: skip
