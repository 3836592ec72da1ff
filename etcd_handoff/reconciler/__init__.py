"""Decide what the reconciler of EtcdMembers does. Pure functions, without I/O and without Temporal.

`workflows.reconcile_members` drives it. A removal that an order asks for is a separate operation
(`etcd_handoff.operation`), which the reconciler starts and follows.

    rounds             conclusions of a round from the state, the EtcdMembers and a look at etcd
    state              the state of a reconciler
    pauses             the length of its pauses
    page               its page in the Web UI
    member_resources   EtcdMembers as the reconciler sees them, and its activities' inputs and answers
    drift              holding back corrections of many EtcdMembers at once
    leave_orders       the member that `spec.leave` orders to leave
    annotation_orders  the member that the annotation orders to leave
    ordered_removal    the removal that an order starts
    request_messages   messages on EtcdMembers whose request starts no removal
    removal_progress   the progress of a removal, as seen from outside
"""
