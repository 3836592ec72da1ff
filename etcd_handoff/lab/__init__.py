"""A real cluster on this machine: etcd, API servers, Temporal and workers as processes that can really be killed."""

from etcd_handoff.lab.cluster import Lab, LabOptions, ListedMember, wait_until
from etcd_handoff.lab.nodes import Node, Role
from etcd_handoff.lab.processes import Process, ProcessError

__all__ = ["Lab", "LabOptions", "ListedMember", "Node", "Process", "ProcessError", "Role", "wait_until"]
