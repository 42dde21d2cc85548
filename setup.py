"""For colcon (ament_python); everything else about the package is in pyproject.toml and setup.cfg."""

from glob import glob

from setuptools import setup

setup(
    # Here, because colcon evaluates the package's metadata as a literal, and setuptools turns a version
    # range that comes from either of those files into an object that isn't one.
    python_requires=">=3.11,<3.13",
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/robot_learning"]),
        ("share/robot_learning", ["package.xml"]),
        ("share/robot_learning/launch", sorted(glob("launch/*.launch.py"))),
    ],
)
