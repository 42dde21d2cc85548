from __future__ import annotations

import subprocess
import sys
from importlib.metadata import Distribution

import pytest

from robot_learning import doctor
from robot_learning.cli import doctor as command


@pytest.fixture
def installation(tmp_path):
    """A distribution with the given requirements, as pip would leave it."""

    def make(*requirements: str) -> Distribution:
        folder = tmp_path / "thing-1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", "Name: thing", "Version: 1.0", "Provides-Extra: learn", "Provides-Extra: dev"]
        (folder / "METADATA").write_text("\n".join(lines + [f"Requires-Dist: {r}" for r in requirements]) + "\n")
        return Distribution.at(folder)

    return make


def test_doctor_lists_versions_and_every_extra_and_succeeds_here():
    done = subprocess.run(
        [sys.executable, "-m", "robot_learning.cli.main", "doctor"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for word in (
        "Python",
        "numpy",
        "zarr",
        "[learn]",
        "[sim]",
        "[convert]",
        "[dev]",
        "rendering",
        "GPU",
        "ROS 2",
        "disk",
    ):
        assert word in done.stdout
    assert "FAIL" not in done.stdout


def test_a_missing_extra_says_what_it_would_give_and_the_pip_line(installation):
    dist = installation("numpy", "no-such-package-here>=2; extra == 'learn'", "pytest; extra == 'dev'")
    finding = doctor.extra_packages(dist, "learn")
    assert finding.mark == "--"
    assert "no-such-package-here is missing" in finding.detail
    assert "training" in finding.detail
    assert finding.remedy == "pip install 'robot_learning[learn]'"
    assert doctor.extra_packages(dist, "dev").mark == "ok"


def test_a_package_outside_its_range_is_named_with_the_range(installation):
    finding = doctor.base_packages(installation("numpy<1.0"))
    assert finding.mark == "FAIL"
    assert "numpy" in finding.detail
    assert "<1.0" in finding.detail


def test_extras_do_not_count_as_base(installation):
    finding = doctor.base_packages(installation("numpy", "no-such-package-here; extra == 'learn'"))
    assert finding.mark == "ok"
    assert finding.detail.startswith("numpy ")


def test_a_broken_base_is_exit_code_one_and_the_remedy_is_printed(monkeypatch, capsys, installation):
    broken = doctor.base_packages(installation("no-such-package-here"))
    monkeypatch.setattr(command, "examine", lambda folder: iter([broken]))
    assert command.main([]) == 1
    out = capsys.readouterr().out
    assert "no-such-package-here is missing" in out
    assert "-> pip install" in out


def test_without_a_graphics_driver_the_apt_line_is_named(monkeypatch):
    pytest.importorskip("mujoco")
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", "/nowhere.json")  # EGL finds no driver
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "no-such-platform")  # nor does OSMesa
    finding = doctor.rendering()
    assert finding.mark == "--"
    assert f"apt-get install {doctor.EGL_PACKAGES}" in finding.remedy
    assert doctor.OSMESA_PACKAGES in finding.remedy


def test_a_rendering_backend_that_works_is_named():
    pytest.importorskip("mujoco")
    finding = doctor.rendering()
    if finding.mark == "ok":  # else this machine has neither, which the other test covers
        assert "MUJOCO_GL=" in finding.detail
    else:
        assert "apt-get" in finding.remedy


def test_code_that_dies_is_reported_by_its_last_line():
    code, text = doctor._try("raise OSError('libGL.so is missing')")
    assert code == 1
    assert text == "OSError: libGL.so is missing"
