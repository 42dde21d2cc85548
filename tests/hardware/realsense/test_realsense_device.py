"""What is refused, and how; settings on a software device; a software device through librealsense's syncer."""

import numpy as np
import pyrealsense2 as rs
import pytest
import yaml
from realsense_recordings import camera_of, make_recording, numbered

from robot_learning.clock import SystemClock
from robot_learning.drivers.cameras import realsense_device as devices
from robot_learning.drivers.cameras import realsense_options
from robot_learning.drivers.cameras.doctor import findings
from robot_learning.drivers.cameras.pairing import Pairing
from robot_learning.drivers.cameras.realsense_depth import DepthChain
from robot_learning.drivers.cameras.realsense_lens import lens_of
from robot_learning.drivers.cameras.synthetic import SoftwareDevice, Synthetic, main
from robot_learning.errors import ConfigError, UserError
from robot_learning.rig import load_rig, parse_rig, rig_path
from robot_learning.rig_parts.cameras import CameraConfig, FiltersConfig

SERIALS = ("012345678901", "012345678902")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two short recordings, of devices with different serial numbers."""
    folder = tmp_path_factory.mktemp("two")
    for serial in SERIALS:
        make_recording(folder / f"{serial}.db3", 0.1, serial=serial)
    return folder


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"width_px": 65}, "has no colour of 65x48 at 30 Hz; it offers 64x48 at 30 Hz. Correct width_px"),
        ({"rate_hz": 60}, "has no colour of 64x48 at 60 Hz; it offers 64x48 at 30 Hz"),
        (
            {"depth": True, "depth_width_px": 80, "depth_height_px": 60},
            "has no depth of 80x60 at 30 Hz; it offers 64x48 at 30 Hz. Correct depth_width_px",
        ),
        (
            {"serial": "012345678902"},
            "no RealSense with serial number 012345678902 is connected; did you mean '0123456789",
        ),
        ({"file": "nowhere.db3"}, "there is no recording .*nowhere.db3; record one"),
    ],
    ids=["size", "rate", "depth size", "serial", "file"],
)
def test_what_the_device_does_not_offer_is_refused_with_what_it_does(recordings, wrong, says):
    camera = camera_of(recordings / f"{SERIALS[0]}.db3", SystemClock(), **wrong)
    with pytest.raises(UserError, match=says):
        camera.connect()
    with pytest.raises(UserError, match="not connected"):
        camera.read()


def test_a_device_on_usb_2_is_told_as_the_likely_reason(tmp_path):
    make_recording(tmp_path / "slow.db3", 0.1, usb="2.1")
    with pytest.raises(ConfigError, match=r"connected by USB 2.1, which offers less: use a USB 3 port"):
        camera_of(tmp_path / "slow.db3", SystemClock(), rate_hz=90).connect()


def test_a_file_that_is_no_recording_is_one_sentence(tmp_path):
    path = tmp_path / "text.db3"
    path.write_text("not a recording")
    with pytest.raises(UserError, match=r"can't open the recording .*text.db3: .* it is no .db3 recording"):
        camera_of(path, SystemClock()).connect()


def test_the_device_is_chosen_by_serial_number_among_those_of_librealsense(recordings):
    context = rs.context()
    loaded = [context.load_device(str(recordings / f"{serial}.db3")) for serial in SERIALS]
    present = devices.connected(context)
    assert {devices.about(device).serial for device in present} == set(SERIALS)
    assert devices.about(devices.choose("front", SERIALS[1], present)).serial == SERIALS[1]
    with pytest.raises(ConfigError, match=r"several RealSense .* one of: .*012345678901 \(Synthetic D435, USB 3.2\)"):
        devices.choose("front", "", present)
    with pytest.raises(UserError, match=r"12345 is connected; did you mean .* Present: .*012345678902"):
        devices.choose("front", "12345", present)
    with pytest.raises(UserError, match="no RealSense is connected; plug it in"):
        devices.choose("front", "", [])
    assert devices.about(devices.choose("front", "", loaded[:1])).serial == SERIALS[0]


def test_without_a_camera_a_rig_that_wants_one_is_told_so():
    if devices.connected(rs.context()):
        pytest.skip("a RealSense is connected to this machine")
    config = CameraConfig(type="realsense", serial=SERIALS[0], width_px=640, height_px=480, rate_hz=30)
    from robot_learning.drivers.cameras.realsense import RealSenseCamera

    with pytest.raises(UserError, match=f"serial number {SERIALS[0]} is connected. Present: none. Plug it in"):
        RealSenseCamera("front", config, SystemClock()).connect()


@pytest.fixture
def adjustable():
    """A software device with settings as a D435 has them."""
    made = SoftwareDevice(Synthetic(64, 48, 30))
    option = rs.option
    for sensor, settings in (
        (made.stereo, {option.exposure: (1, 165000, 1, 8500), option.gain: (16, 248, 1, 16),
                       option.inter_cam_sync_mode: (0, 3, 1, 0), option.laser_power: (0, 360, 30, 150),
                       option.emitter_enabled: (0, 1, 1, 1), option.enable_auto_exposure: (0, 1, 1, 1),
                       option.global_time_enabled: (0, 1, 1, 0)}),
        (made.rgb, {option.exposure: (1, 10000, 1, 156), option.gain: (0, 128, 1, 64),
                    option.white_balance: (2800, 6500, 10, 4600), option.enable_auto_exposure: (0, 1, 1, 1),
                    option.enable_auto_white_balance: (0, 1, 1, 1), option.global_time_enabled: (0, 1, 1, 0)}),
    ):  # fmt: skip
        for key, (low, high, step, default) in settings.items():
            allowed = rs.option_range()
            allowed.min, allowed.max, allowed.step, allowed.default = low, high, step, default
            sensor.add_option(key, allowed, True)
    return made


def section(**keys):
    return CameraConfig.model_validate(
        {"type": "realsense", "width_px": 64, "height_px": 48, "rate_hz": 30, "depth": True} | keys
    )


def test_settings_arrive_in_the_devices_own_units(adjustable):
    config = section(
        exposure_us=8000,
        gain=20,
        white_balance_k=4504,
        depth_exposure_us=5000,
        depth_gain=32,
        laser_mw=180,
        sync="slave",
    )
    realsense_options.apply("front", config, adjustable.device)
    stereo, colour = adjustable.device.query_sensors()
    option = rs.option
    assert colour.get_option(option.exposure) == 80  # a colour camera's exposure is in units of 100 us
    assert (colour.get_option(option.gain), colour.get_option(option.white_balance)) == (20, 4500)
    assert (colour.get_option(option.enable_auto_exposure), colour.get_option(option.enable_auto_white_balance)) == (
        0,
        0,
    )
    assert (stereo.get_option(option.exposure), stereo.get_option(option.gain)) == (5000, 32)
    assert (stereo.get_option(option.laser_power), stereo.get_option(option.inter_cam_sync_mode)) == (180, 2)
    assert stereo.get_option(option.global_time_enabled) == colour.get_option(option.global_time_enabled) == 1
    realsense_options.apply("front", section(exposure_us="auto", laser_mw=0, timestamps="hardware"), adjustable.device)
    assert colour.get_option(option.enable_auto_exposure) == 1
    assert stereo.get_option(option.emitter_enabled) == 0
    assert stereo.get_option(option.inter_cam_sync_mode) == 0  # off unless the rig says otherwise
    assert colour.get_option(option.global_time_enabled) == 0


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"exposure_us": 2_000_000}, r"exposure_us = 2e\+06: this device allows 100 to 1e\+06"),
        ({"depth_exposure_us": 0.5}, "depth_exposure_us = 0.5: this device allows 1 to 165000"),
        ({"preset": "High Accuracy"}, "preset: this device has no presets"),
    ],
    ids=["too long", "too short", "no presets"],
)
def test_settings_that_the_device_has_not_are_refused_with_what_it_allows(adjustable, keys, says):
    with pytest.raises(ConfigError, match=says):
        realsense_options.apply("front", section(**keys), adjustable.device)


class FakePresets:
    """A sensor with presets: librealsense's software sensors can't name the values of an option."""

    NAMES = ("Custom", "Default", "Hand", "High Accuracy")

    def __init__(self):
        self.taken = None

    def supports(self, option):
        return option == rs.option.visual_preset

    def get_option_range(self, option):
        allowed = rs.option_range()
        allowed.min, allowed.max, allowed.step = 0, len(self.NAMES), 1
        return allowed

    def get_option_value_description(self, option, value):
        return self.NAMES[int(value)] if value < len(self.NAMES) else None

    def set_option(self, option, value):
        self.taken = value


def test_presets_go_by_the_names_that_the_device_has():
    sensor = FakePresets()
    settings = realsense_options.Settings("front", sensor, 1.0)
    settings.preset("high_accuracy")
    assert sensor.taken == 3
    with pytest.raises(ConfigError, match=r"no preset 'Hihg Accuracy'; did you mean 'High Accuracy'\? It has: Custom"):
        settings.preset("Hihg Accuracy")


def test_a_device_without_sync_refuses_to_be_a_slave():
    with pytest.raises(ConfigError, match=r"cameras.front.sync: this device has no such setting"):
        realsense_options.apply("front", section(sync="slave"), SoftwareDevice(Synthetic(64, 48, 30)).device)


def test_a_software_device_through_librealsenses_syncer():
    device = Synthetic(64, 48, 30, draw=numbered, unit_m=0.0005)
    made = SoftwareDevice(device)
    made.device.create_matcher(rs.matchers.dlr_c)
    syncer, kept = rs.syncer(16), []
    stereo, colour = made.device.query_sensors()
    stereo.open([p for p in stereo.get_stream_profiles() if p.stream_type() == rs.stream.depth])
    colour.open(colour.get_stream_profiles())
    stereo.start(syncer)
    colour.start(syncer)
    pairing = Pairing(1e3 / 30, [lambda frames: frames.get_depth_frame()])
    chain = DepthChain(FiltersConfig(), align=False)
    for number in range(12):
        made.feed(number)
        came, frames = syncer.try_wait_for_frames(2000)
        while came:
            for whole, _ in pairing.offer(frames, 0):
                own = whole.get_color_frame()
                depth = chain(whole) if whole.get_depth_frame() else None
                kept.append((own.get_frame_number(), own.get_timestamp(), depth))
            came, frames = syncer.try_wait_for_frames(20)
    for sensor in (stereo, colour):
        sensor.stop()
        sensor.close()
    numbers = [number for number, _, _ in kept]
    assert numbers == sorted(set(numbers))
    with_depth = [(number, stamp, depth) for number, stamp, depth in kept if depth is not None]
    assert len(with_depth) >= 6
    for number, stamp, depth in with_depth:
        assert stamp == pytest.approx(device.stamp_ms(number))
        assert (depth == np.rint((1000 + number) / 2)).all()


@pytest.mark.parametrize("model", ["brown_conrady", "modified_brown_conrady", "inverse_brown_conrady"])
def test_distortion_means_what_librealsense_projects_with(model, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    bend = (-0.055, 0.064, 0.0007, -0.0004, -0.02)  # about a D455's
    made = SoftwareDevice(Synthetic(640, 480, 30, distortion=bend))
    profile = made.profiles["colour"]
    lens = profile.get_intrinsics()
    lens.model = getattr(rs.distortion, model)
    ours = lens_of(profile, profile)
    for point in ([0.3, 0.2, 1.0], [-0.4, 0.3, 1.0], [0.5, -0.35, 1.0]):
        theirs = rs.rs2_project_point_to_pixel(lens, point)
        opencv = cv2.projectPoints(np.array([point]), np.zeros(3), np.zeros(3), ours.matrix, ours.distortion)[0].ravel()
        np.testing.assert_allclose(opencv, theirs, atol=0.05)


def rig_with(**cameras):
    content = yaml.safe_load(rig_path("panda_sim").read_text())
    del content["simulation"]
    content["cameras"] = {n: {"width_px": 64, "height_px": 48, "rate_hz": 30} | c for n, c in cameras.items()}
    for stream in ("front", "front_depth", "wrist", "wrist_depth"):
        content["policy"]["alignment"].pop(stream, None)
    return parse_rig(content, "test")


def test_the_doctor_says_what_is_missing_and_what_to_do(recordings):
    rig = rig_with(
        a={"type": "realsense", "serial": SERIALS[0]},
        b={"type": "realsense", "file": str(recordings / f"{SERIALS[0]}.db3")},
        c={"type": "realsense", "file": "nowhere.db3"},
        d={"type": "uvc", "device": "/dev/video97"},
    )
    found = list(findings(rig))
    by_what = {f.what: f for f in found}
    assert by_what["pyrealsense2"].detail.startswith("librealsense 2.")
    assert by_what["camera b"].mark == "ok"
    assert "robot_learning.drivers.cameras.synthetic" in by_what["camera c"].remedy
    assert by_what["camera d"].mark == "FAIL"
    assert "there is no /dev/video97" in by_what["camera d"].detail
    if not devices.connected(rs.context()):
        assert by_what["camera a"].mark == "FAIL"
        assert "udev" in by_what["camera a"].remedy
    assert list(findings(load_rig("panda_sim"))) == []
    nameless = rig_with(a={"type": "realsense"}, e={"type": "realsense"})
    assert any("a, e have the same serial number" in finding.detail for finding in findings(nameless))


def test_the_synthetic_camera_is_a_command(tmp_path, capsys):
    path = str(tmp_path / "out.db3")
    assert main([path, "--seconds", "0.2", "--width", "64", "--height", "48", "--rate", "15"]) == 0
    camera = camera_of(path, SystemClock(), rate_hz=15, depth=True, loop=True)
    camera.connect()
    assert camera.read().colour.shape == (48, 64, 3)
    camera.disconnect()
    assert main([path]) == 2
    assert "already; remove it" in capsys.readouterr().err
    assert main([str(tmp_path / "none.db3"), "--seconds", "0"]) == 2
    assert main(["/proc/none.db3", "--seconds", "1"]) == 2
    assert "can't be written" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["out.db3"]
