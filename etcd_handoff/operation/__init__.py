"""Decide what an operation on a cluster does. Pure functions, without I/O and without Temporal.

`loop.decide` answers with the next command, and `loop.apply` takes its result. Both are pure functions of one
`state.OperationState`. Temporal drives them (`workflows.drive_operation`), and so do the model in tests/model and the
benchmarks. Each concern has its own module.

The loop:

    loop                the loop around the planner's decisions
    apply               the state after a command
    failed_steps        the state after an activity failed in all its attempts
    state               the state of an operation
    carried_state       the part of the state that the next run gets
    phases              the progress of what takes several commands
    step_log            the steps, bounded
    commands            the commands
    activity_commands   the commands that are activities
    strategy            the kind of operation

The kinds of operations:

    removal             transfer, election, removal
    addition            learner, promotion
    membership          a larger change, in parts: the next addition or removal
    membership_goal     its goal, for the planner
    whole_change        its state, besides the state of the running part
    parts               the way from one part to the next
    replaced            which member is replaced
    unrecorded          changes made earlier that no EtcdMember records yet
    change_words        its texts

The subject of a removal or an addition:

    identity            which member is meant
    learner             the progress of the learner of an addition
    join                the settings that etcd is started with to become that member
    proposal            whether a proposed change may still take place
    leave               the order to k0s, where k0s removes members
    learner_removal     removing the learner of a cancelled addition
    abandoned_lock      a lock in etcd that an attempt did not release

Looks:

    observation         looking, and what a look shows
    view_doubts         whether the last look may be believed
    node_looks          looks through the workers of other nodes
    node_answers        one look from their answers
    node_doubts         doubts that their answers leave

Before a change:

    gates               approval, change window, hash check, snapshot
    hash_check          which voters a hash check compares, and how their hashes are compared
    approvals           who may approve, and how long an approval counts
    people              identities of people
    schedule            when the first change may be made
    queue_requests      asking for the turn to change the cluster
    pause_resume        pausing it until somebody resumes it
    blocked_waiting     waiting for what may pass, and giving up

Processes on nodes:

    member_process      the etcd of the member that joins or has left
    node_needs          what a node needs before a member can run on it
    departed            whether the etcd of a removed member still runs
    process_end         stopping that etcd, and archiving its data

The end, and what people see:

    ending              cancelling, failing, the result
    recording           writing the end on the EtcdMember
    resource_progress   writing progress on the EtcdMember before a queue does
    noticing            notifications outside of Temporal
    current_details     the page in the Web UI, the answer of `progress`
    unblocking_commands commands that unblock it, ready to be copied
    texts               texts for waits and plans
    failures            texts for failures

The queue of a cluster:

    change_queue        who is next, and how the queue handles a message
    queue_messages      its state, and the messages between it and operations
"""
