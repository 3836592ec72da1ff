"""A real cluster on this machine: etcd, API servers, Temporal and workers, as processes that can be killed."""

from etcd_handoff.lab.cluster import Lab, LabOptions
from etcd_handoff.lab.nodes import Node, Role
from etcd_handoff.lab.observer import ListedMember
from etcd_handoff.lab.processes import Process
from etcd_handoff.lab.waiting import ProcessError, wait_until

__all__ = ["Lab", "LabOptions", "ListedMember", "Node", "Process", "ProcessError", "Role", "wait_until"]
