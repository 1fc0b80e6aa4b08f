// Command fleet runs many agents on one machine around a real etcd of three
// members, lets some of them die, and reports what that costs and how long it
// takes: `make bench-selfmon`.
//
// What is real, and what is not:
//
//   - The agents are package cmd's, started by the command line that the binary
//     has: the same parts, wired by the same code, each with its own connection
//     to etcd. They are many to a process (a rack), because a thousand processes
//     would cost the machine more than what is measured. Two of them are the
//     binary itself in a process of its own: the one that is elected at first,
//     whose CPU and memory are therefore the kernel's figures, and one to compare
//     it with.
//   - Each rack is a host of its own as far as the network goes (package
//     network), with addresses of its own for its nodes and their containers. So a
//     node dies by SIGKILL and by the loss of its cable, as it would.
//   - Docker is the fake one (dockertest), one for each node, on a unix socket.
//   - Containers are addresses at which one cheap process for each rack answers
//     (package target). They are probed over HTTP by the agents' own probers, at
//     an interval that lets the machine carry it: -interval.
//   - Etcd is of go.mod's version, three processes on three hosts of their own,
//     with fsync, all on this machine: what it waits for disks and wires is less
//     than elsewhere.
//
// How each figure is made:
//
//   - Requests are the messages that the members have received from clients, by
//     their own counters; puts and revisions are etcd's too. What the bench asks
//     for itself is left out.
//   - Watch responses are those that the members have sent, less those that the
//     bench's own witness has heard: each wakes a client.
//   - Lost: from the moment when the cable is pulled and the processes are killed
//     to the arrival, at the witness, of the last of the containers' statuses.
//   - A wrong cut is any status of a container that answers which says something
//     other than healthy, at any time after the start.
//   - CPU is the process's CPU clock, user and system of all its threads.
package main
