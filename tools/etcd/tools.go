//go:build tools

// Package tools pins the etcd and etcdctl that the lab runs.
package tools

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/server/v3"
)
