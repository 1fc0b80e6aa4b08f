// Command bench measures the real agent against yardsticks in one run, and prints
// ours, theirs, the ratio, the limit, and whether it was met. Machines are noisy:
// nothing fails on a figure, and only ratios can be compared between runs.
//
// The agent is the binary of `make build`, with its defaults but for the interval.
// Agent, etcd (of go.mod's version, with fsync), the targets and each yardstick
// are processes of their own; in this one are the fake Docker (dockertest) and a
// witness that follows etcd with a client of its own. N containers have the
// addresses 127.1.x.y, all answered by one cheap process (package target).
//
// How each figure is made:
//
//   - CPU is the process's CPU clock, user and system of all threads in nanoseconds,
//     over a span that begins when all containers are healthy and the agent has
//     settled; divided by the probes that it made in the span. Its own counters are
//     read before and after the span, so that reading them is not in it. Yardsticks
//     (package yardstick) are measured alike, over the same targets, in turns with
//     the agent; the ratio is the median of the rounds' own ratios.
//   - Memory is VmRSS at the end of a span.
//   - Docker API calls are those that the fake Docker was asked, puts and the like
//     are etcd's own counters; the witness writes nothing.
//   - Start: from before fork to the arrival, at the witness, of the last key that
//     says healthy. Restart: from before fork of the new process to the moment when
//     the last target was connected to, as the targets say; the old process has
//     ended by SIGTERM or SIGKILL, in turns. Every event below status/ from the
//     stop on counts.
//   - A death is a kill(2) of a process that is in a control group named as the
//     container, as Docker's are, so that the kernel tells the agent of it; or it is
//     the fake Docker's die alone. It is seen when it arrives at the witness. The
//     bare client (package bare) does no more than hear, put and go on.
//   - Many deaths: those within 0.1 s are spread evenly, and counted from the last
//     one to the last one seen; those at once from the first.
//   - Probe starts are accepts at the targets; the worst second is the fullest
//     window of that length, wherever it begins.
package main
