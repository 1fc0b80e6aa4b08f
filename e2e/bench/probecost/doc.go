// Package probecost measures what one probe costs in CPU time: the agent's own
// runner beside net/http, a plain net.Conn with a timer each, and raw epoll.
// The probed servers run in another process, so that only the prober's time is
// counted.
package probecost
