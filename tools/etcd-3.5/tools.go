//go:build tools

// Package tools pins another etcd, for the fault sample.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
)
