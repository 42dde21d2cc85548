"""Results in the rig file: nothing else changes, what does not fit is refused, and the delay is taken."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import calibration_episodes as recordings
import pytest
import yaml

from robot_learning.calibration.rigfile import about, section, updated, write_calibration
from robot_learning.errors import ConfigError, UnknownName
from robot_learning.rig import load_rig
from robot_learning.rig_parts.calibration import ActuatorDelay, CalibrationConfig, CameraLatency

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HEAD = "# The station by the window.\n"


def delay(delay_s=0.05, lag_s=0.03, **changes):
    known = {"delay_error_s": 0.001, "lag_error_s": 0.001, "residual": 0.01} | about("lift/01", NOW)
    return ActuatorDelay(delay_s=delay_s, lag_s=lag_s, **known | changes)


def late(**changes):
    return CameraLatency(latency_s=0.04, error_s=0.001, explained=0.9, **about("lift/01", NOW) | changes)


@pytest.fixture
def path(tmp_path) -> Path:
    return recordings.rig_file(tmp_path)


def written(path, *records):
    for record, camera in records:
        write_calibration(path, updated(load_rig(path), record, camera))
    return load_rig(path)


def test_everything_else_in_the_file_stays_byte_for_byte(path):
    text = path.read_text().replace("policy:\n", "policy:   # as the lab agreed\n") + "\n# The end.\n"
    path.write_text(text)
    rig = written(path, (delay(), ""))
    assert rig.calibration.actuator == delay()
    assert path.read_text().startswith(text)
    again = written(path, (delay(0.06), ""), (late(), "wrist"))
    assert path.read_text().startswith(text)
    assert again.calibration.actuator.delay_s == 0.06
    assert list(again.calibration.latency) == ["wrist"]


def test_a_section_in_the_midst_is_replaced_where_it_is(path):
    text = path.read_text()
    before, after = text.split("recording:\n") if "recording:\n" in text else text.split("teleop:\n")
    rest = "recording:\n" if "recording:\n" in text else "teleop:\n"
    old = section(CalibrationConfig(robot="mujoco_panda", actuator=delay()))
    path.write_text(f"{before}{old}\n# What comes next.\n{rest}{after}")
    written(path, (delay(0.1), ""))
    now = path.read_text()
    assert now.startswith(before)
    assert now.endswith(f"\n# What comes next.\n{rest}{after}")
    assert now.count("calibration:") == 1


def test_what_was_there_before_is_kept_and_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "linked.yaml"
    link.symlink_to(path)
    os.chmod(path, 0o640)
    old = path.read_bytes()
    target, copy = write_calibration(link, updated(load_rig(path), delay()))
    assert link.is_symlink()
    assert target == path.resolve()
    assert copy.read_bytes() == old
    assert path.stat().st_mode & 0o777 == 0o640
    _, second = write_calibration(link, updated(load_rig(path), delay()))
    assert second != copy
    assert not list(tmp_path.glob(".*"))


def test_windows_line_ends_and_a_missing_last_one_are_kept(path):
    path.write_bytes(path.read_bytes().rstrip().replace(b"\n", b"\r\n"))
    old = path.read_bytes()
    written(path, (delay(), ""))
    now = path.read_bytes()
    assert now.startswith(old + b"\r\n")
    assert now.count(b"\n") == now.count(b"\r\n")


def test_a_file_without_lines_of_its_own_is_left_alone(path):
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()), default_flow_style=True, width=10**6))
    old = path.read_text()
    with pytest.raises(ConfigError, match="keys don't begin lines"):
        written(path, (delay(), ""))
    assert path.read_text() == old


def test_the_calibrated_delay_is_taken_unless_the_file_gives_one(path):
    assert load_rig(path).policy.execution.actuator_delay_s == 0.0
    rig = written(path, (delay(0.05, 0.03), ""))
    assert rig.policy.execution.actuator_delay_s == pytest.approx(0.08)
    content = yaml.safe_load(path.read_text())
    content["policy"]["execution"] = {"hold_s": 0.7}
    path.write_text(yaml.safe_dump(content))
    rig = load_rig(path)
    assert (rig.policy.execution.actuator_delay_s, rig.policy.execution.hold_s) == (pytest.approx(0.08), 0.7)
    content["policy"]["execution"] = {"actuator_delay_s": 0.0}
    path.write_text(yaml.safe_dump(content))
    assert load_rig(path).policy.execution.actuator_delay_s == 0.0


def changed(path, change):
    content = yaml.safe_load(path.read_text())
    content["calibration"] = {"robot": "mujoco_panda", "actuator": delay().model_dump(mode="json")}
    change(content["calibration"])
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(robot="mujoco_pandas"), "'mujoco_pandas', but robot.type is 'mujoco_panda'; did you mean"),
        (
            lambda c: c.update(latency={"wirst": late().model_dump(mode="json")}),
            r"calibration.latency.wirst: the rig has no camera 'wirst'; did you mean 'wrist'\?",
        ),
        (lambda c: c.update(actuatr={}), "unknown key 'calibration.actuatr'; did you mean 'actuator'"),
        (lambda c: c["actuator"].update(date="last week"), "date is 'last week'; write it as 2026-01-31T"),
        (lambda c: c["actuator"].update(delay_s=0.9, lag_s=0.2), "delay_s \\+ lag_s = 1.100 must be below 1.0 s"),
    ],
)
def test_a_calibration_that_is_not_this_rigs_is_refused(path, change, says):
    with pytest.raises(ConfigError, match=says):
        load_rig(changed(path, change))


def test_a_date_that_somebody_wrote_without_quotes_is_read(path):
    changed(path, lambda c: c["actuator"].update(date=NOW))  # as YAML reads it
    assert "date: 2026-05-01 12:00:00" in path.read_text()
    assert load_rig(path).calibration.actuator.age_days(NOW) == 0


def test_a_camera_that_the_rig_has_not_is_refused_before_anything_is_written(path):
    with pytest.raises(UnknownName, match="did you mean 'front'"):
        updated(load_rig(path), late(), "frnt")


def test_old_results_are_warned_about_and_still_used(path):
    rig = load_rig(changed(path, lambda c: c.update(max_age_days=30)))
    assert rig.calibration.stale(NOW + timedelta(days=29)) == []
    [told] = rig.calibration.stale(NOW + timedelta(days=31))
    assert told == "calibration.actuator is 31 days old (max_age_days: 30); measure it anew."
    assert "in the future" in rig.calibration.stale(NOW - timedelta(days=3))[0]
    assert rig.policy.execution.actuator_delay_s == pytest.approx(0.08)
