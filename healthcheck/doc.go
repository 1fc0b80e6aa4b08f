// Package healthcheck asks containers whether they can serve.
//
// It owns what a check is (read from labels), the probes that it is made of
// (HTTP and TCP; an owner compiles in another kind behind Prober), when each
// probe runs, and whether a negative answer may be believed. It leaves to
// others what a verdict means for a container (package agent) and where a
// container is reached (package watcher).
package healthcheck
