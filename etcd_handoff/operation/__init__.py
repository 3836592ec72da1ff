"""What an operation on a cluster decides, without anybody who carries it out.

`loop.decide` answers with the next command and `loop.apply` takes its result. Both are pure functions of one
`state.OperationState`. Temporal drives them (`workflows.drive_operation`), and so do the model in tests/model and the
benchmarks.
"""
