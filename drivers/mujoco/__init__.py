"""A simulated Panda in MuJoCo: model, physics, controller, robot and cameras, each in its file."""

from robot_learning.drivers.mujoco.gl import choose_backend

choose_backend()
