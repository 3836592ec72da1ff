"""Etcd: one gateway that makes one attempt per call, and what it stands on. Nothing else imports etcd3aio or gRPC."""
