//go:build tools

// Package tools pins the Toxiproxy server that the lab can stand behind.
package tools

import _ "github.com/Shopify/toxiproxy/v2/cmd/server"
