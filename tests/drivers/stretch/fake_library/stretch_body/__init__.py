"""A fake of the parts of stretch_body that the driver's process uses, for its life and death; the genuine library,
which can't start without a robot, is tested in tests/hardware/stretch."""
