//go:build tools

// Package tools pins the kube-apiserver that the lab runs, and the kubeadm of the tests on distributions.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubeadm"
)
