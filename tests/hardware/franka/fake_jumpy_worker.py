"""The robot's process with a fault in it: on request it sends the robot commands that no gate would let pass."""

from typing import Any

import franky
import numpy as np

from robot_learning.drivers.franka.worker import Worker, main


class FakeJumpyWorker(Worker):
    """Takes the request `jump`, besides those of every worker."""

    jumping = False

    def _answer(self, request: dict[str, Any]) -> None:
        if request.get("do") != "jump":
            self.jumping &= request.get("do") != "recover"
            super()._answer(request)
            return
        self.jumping = self._leading = True
        getattr(self, f"_jump_in_{request['what']}")()
        self._say({"id": request["id"], "error": ""})

    def _jump_in_velocity(self) -> None:
        # Of the Panda's acceleration, which is more than an FR3's; without franky's filter it arrives as it is.
        motion = franky.JointVelocityMotion([0.5, 0, 0, 0, 0, 0, 0], franky.Duration(300))
        self._arm._robot.move(motion, asynchronous=True, cutoff_frequency=1000.0)

    def _jump_in_torque(self) -> None:
        q = self._arm.read().q
        motion = franky.JointImpedanceTrackingMotion(stiffness=np.full(7, 600.0), max_delta_tau=1000.0)
        motion.set_reference(franky.JointReference(q=q + 0.05 * np.eye(7)[0]))
        self._arm._robot.move(motion, asynchronous=True, cutoff_frequency=1000.0)

    def _step(self, state: Any) -> None:
        if not self.jumping:
            super()._step(state)


if __name__ == "__main__":
    main(FakeJumpyWorker)
