"""Goes around a circle until it is killed; says the id of the robot's process once it moves."""

from simulators import Station, make_rig

with Station(make_rig()) as station:
    station.circle(2.0)
    print("circling", station.robot._link.pid, flush=True)
    station.circle(60.0)
