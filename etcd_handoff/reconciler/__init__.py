"""What the reconciler of EtcdMembers decides, without anybody who carries it out.

`workflows.reconcile_members` drives it. A removal that an order asks for is an operation of its own
(`etcd_handoff.operation`), which the reconciler starts and follows.

    rounds             what it concludes in a round from its state, its EtcdMembers and a look at etcd
    state              all that it knows
    pauses             how long it waits
    page               its page in the Web UI
    member_resources   EtcdMembers as it sees them, and what its activities take and answer
    drift              holding back corrections of many EtcdMembers at once
    leave_orders       which member `spec.leave` is about
    annotation_orders  which member the annotation is about
    ordered_removal    what a removal that an order asks for is started with
    standing           what EtcdMembers say when what they ask for starts no removal
    removal_progress   how a removal goes, as seen from outside
"""
