// Command cutover measures, in one run, what users of a proxy see when servers
// behind it die, stop, turn unhealthy or drain, and when what tells the proxy of
// it goes away. The proxies are HAProxy driven by eru-lb, nginx that confd makes
// reload, a gRPC client that follows eru-lb's xDS, and HAProxy with nothing but its own
// checks. Machines are noisy: nothing fails on a figure of time.
//
// Five real containers run the test web server, the real agent watches them with its
// defaults but for an interval of 1s, etcd is of go.mod's version, with fsync. The
// proxies run the files of examples/. One proxy is measured after the other.
//
// How each figure is made:
//
//   - Requests come from an open-loop client (package load) that sends 400 a second
//     whatever becomes of those before; each is counted from the moment at which it
//     was due. It has failed unless the whole answer came, with status 200. Each
//     answer says which container gave it.
//   - A container is killed by kill(2) of its process, or stopped by docker stop,
//     while requests come; half a second later it is replaced by a new one, and the next
//     round begins once that one serves.
//   - Applied is when HAProxy says that the server gets no more requests, asked every
//     millisecond over its runtime socket by a client of this program's own.
//   - "Docker's die" is an agent in a PID namespace of its own, where it can watch no process, so
//     that Docker's event is all that it has.
//   - HAProxy with its own checks has the shipped configuration but for its servers,
//     which stand in the file; a new container's address is told by hand. "No
//     redispatch" is that without the lines that send what a server did not answer to
//     another one.
//   - Turned unhealthy is a probe that is answered with 503 from one moment on, while
//     requests are served on; the last request is the last one sent of those that the
//     container served.
//   - A put is one of this program's, in the place of the agent, which is stopped.
//   - Who is in the set is asked of HAProxy every 10 ms throughout.
//   - The lag of 50 changes a second is from before the put to the moment when HAProxy
//     says that the server is in or out.
package main
