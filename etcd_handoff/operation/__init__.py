"""What an operation on a cluster decides, without anybody who carries it out.

`loop.decide` answers with the next command and `loop.apply` takes its result. Both are pure functions of one
`state.OperationState`. Temporal drives them (`workflows.drive_operation`), and so do the model in tests/model and the
benchmarks. Each concern has its own module.

The loop:

    loop                the order in which everything comes round the planner's decisions
    apply               the state after a command
    failed_steps        the state after an activity that has failed in all its attempts
    state               all that an operation knows
    handed_on           what of it goes to the next run
    phases              how far it has come with what takes several commands
    step_log            the steps, bounded
    commands            what it can ask for
    activity_commands   those of them that are activities
    strategy            which kind of operation it is

The kinds of operations:

    removal             transfer, election, removal
    addition            learner, promotion
    membership          the parts of a larger change: which addition or removal is next
    membership_goal     its goal, for the planner
    whole               what it knows besides its part's own state
    parts               how it goes from one part to the next
    replaced            which member is replaced
    unrecorded          EtcdMembers of members that had left before it began
    change_words        what it says of itself

What a removal or an addition is about:

    identity            who is meant
    learner             how far the learner of an addition has come
    join                what etcd is started with to become that member
    proposal            whether what was proposed may still take place
    leave               the order to k0s, where k0s removes members
    withdrawal          a learner leaves again whose addition was cancelled
    left_lock           a lock in etcd that an attempt has left

Looks:

    observation         looking, and what is learned from a look
    view_doubts         whether the last look may be believed
    node_looks          looks through the workers of other nodes
    node_doubts         what their answers leave in doubt
    node_hashes         hashes of members that those workers alone reach

What comes before a change:

    gates               approval, change window, hash check, snapshot
    approvals           who may approve, and how long that counts
    people              who somebody is
    schedule            when it may make its first change
    queue_requests      asking for the turn to change the cluster
    pausing             holding it until somebody lets it go on
    blocked_pauses      waiting for what may pass by itself, and giving up

Processes on nodes:

    member_process      the etcd of the member that joins or has left
    node_needs          what its node must be like
    departed            whether the etcd of a member that is out still runs
    process_end         stopping that etcd, and putting its data away

Its end, and what people are told:

    ending              cancelling, failing, the result
    recording           writing the end on the EtcdMember
    telling             what the EtcdMember is told before a queue knows of the removal
    noticing            what is told outside of Temporal
    current_details     the page in the Web UI, the answer of `progress`
    unblocking_commands the commands that unblock it, to be copied
    texts               what it says when it waits or plans
    failures            why it fails

The queue of a cluster:

    change_queue        what the queue does with a message
    queue_state         its state, and what it and operations tell each other
"""
