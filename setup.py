"""For colcon (ament_python); everything else about the package is in pyproject.toml."""

from setuptools import setup

setup(
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/robot_learning"]),
        ("share/robot_learning", ["package.xml"]),
    ],
)
