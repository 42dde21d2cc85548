"""The declared qualities of service as rclpy's, and what to say where two don't match."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy

from robot_learning.nodes.declarations import QOS

ADVICE = "set reliability: best_effort for this topic in the rig file"
_ADVICE = {
    "RELIABILITY": f"the publisher is best effort and the subscriber wants reliable: {ADVICE}",
    "DURABILITY": "the publisher is volatile and the subscriber wants transient_local",
}


def profile(name: str, reliability: str | None = None) -> QoSProfile:
    """The profile called `name` in the declarations, perhaps with another reliability."""
    q = QOS[name]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=q.depth,
        reliability=ReliabilityPolicy[(reliability or q.reliability).upper()],
        durability=DurabilityPolicy[q.durability.upper()],
    )


def mismatch(topic: str, policy: int) -> str:
    """A sentence about incompatible qualities of service; `policy` is what the middleware's event names."""
    name = QoSPolicyKind(policy).name
    return f"{topic}: incompatible quality of service, {name.lower()}: {_ADVICE.get(name, 'the two sides differ')}"
