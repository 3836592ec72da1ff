"""Etcd: one gateway that makes one attempt per call, and its parts. No other package imports etcd3aio or gRPC."""
