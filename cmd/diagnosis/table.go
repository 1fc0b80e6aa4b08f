package diagnosis

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/healthcheck"
	"github.com/projecteru2/eru-agent/spelling"
	"github.com/projecteru2/eru-agent/status"
)

// Of finds what is the matter: the first line of the table that applies.
func Of(e Evidence) Advice {
	for _, find := range []func(Evidence) (Advice, bool){
		unknown, notRunning, notOurs, noAgent, drained, byState, refused, byReason, unsaid, unused, unheard,
	} {
		if a, ok := find(e); ok {
			return a
		}
	}
	return Advice{Well: true, Cause: "it is healthy, and proxies send to it"}
}

func advice(cause, do string, args ...any) (Advice, bool) {
	return Advice{Cause: cause, Do: fmt.Sprintf(do, args...)}, true
}

func none() (Advice, bool) { return Advice{}, false }

func unknown(e Evidence) (Advice, bool) {
	switch {
	case e.Docker != nil && !e.Docker.Exists && (e.Agent == nil || !e.Agent.Removed.IsZero()):
		return advice("Docker on this node does not know it", "look for it with: docker ps --all; eru-agent status shows on which node each container is")
	case e.Docker == nil && e.Ambiguous:
		return advice(e.AgentTrouble, "ask again with more of its ID, or its name")
	case e.Docker == nil && e.Agent == nil && e.AgentHeard && !e.AgentGuarded:
		return advice("the agent knows none of that name, and Docker cannot be asked: "+e.DockerTrouble, "see that Docker answers at docker.endpoint, and ask again")
	case e.Docker == nil && e.Agent == nil && (e.Etcd == nil || !e.Etcd.Exists):
		return advice("nobody could be asked about it", "%s", cmp.Or(e.DockerTrouble, e.AgentTrouble, e.EtcdTrouble))
	}
	return none()
}

func notRunning(e Evidence) (Advice, bool) {
	d := e.Docker
	switch {
	case d == nil || d.Running || !d.Exists:
		return none()
	case d.Created:
		return advice("it was created and never started", "start it: docker start %s", d.Container.Name)
	case d.Exit.OOM:
		return advice("it does not run: the kernel ended it for want of memory", "give it more memory (docker update --memory) and start it: docker start %s", d.Container.Name)
	default:
		return advice(fmt.Sprintf("it does not run: it ended with exit code %d", d.Exit.Code), "see why it ended: docker logs --tail 50 %s", d.Container.Name)
	}
}

func notOurs(e Evidence) (Advice, bool) {
	if e.Docker == nil || e.Docker.Ours {
		return none()
	}
	if e.Selected != nil {
		return advice(fmt.Sprintf("this node's docker.select (%s) leaves it out", strings.Join(e.Selected, ", ")), "give it these labels, or change docker.select and reload the agent")
	}
	for _, label := range slices.Sorted(maps.Keys(e.Docker.Container.Labels)) {
		if low := strings.ToLower(label); strings.HasPrefix(low, "eru") && strings.Contains(low, "h") && label != "ERU_META" {
			return advice("no label of it selects it", "spell the label %q as %s, and create the container anew", label, spelt(label))
		}
	}
	return advice("it has no label that selects it: neither ERU=1 nor any eru.health.…", "create it anew with a label, as --label eru.health.http.port=80")
}

// spelt is how a label that is near to one of a check is to be written.
func spelt(label string) string {
	for i, r := range label {
		if r == '.' && spelling.Nearest(label[:i+1], []string{healthcheck.LabelPrefix}) != "" {
			return strconv.Quote(healthcheck.LabelPrefix + label[i+1:])
		}
	}
	return "it is in docs/probes.md (eru.health.…)"
}

func noAgent(e Evidence) (Advice, bool) {
	if e.AgentHeard {
		return none()
	}
	do := "start it (systemctl start eru-agent), or say where it answers with --api.addr"
	if e.Etcd != nil {
		do += "; until then what stands in etcd is the last known"
	}
	return advice("no agent answers here: "+e.AgentTrouble, "%s", do)
}

func drained(e Evidence) (Advice, bool) {
	state, reason, detail := e.state()
	switch {
	case state != status.StateDraining:
		return none()
	case reason == "stop_signal":
		return advice("it was asked to stop ("+detail+")", "wait: it ends, or comes back when it passes a probe after its stop timeout")
	case e.Etcd != nil && e.Etcd.Wish != nil:
		w, what := e.Etcd.Wish, e.Etcd.Key.ID[:min(12, len(e.Etcd.Key.ID))]
		if e.Etcd.Whole {
			what = "--node " + e.Etcd.Key.Node
		}
		until := "until it is taken back"
		if !w.Until.IsZero() {
			until = "until " + w.Until.Local().Format(time.RFC3339)
		}
		return advice(fmt.Sprintf("an operator drains it: %s %s %s", cmp.Or(w.By, "somebody"), w.Reason, until), "if that is over, take it back: eru-agent undrain %s", what)
	}
	return advice("an operator drains it: "+detail, "if that is over, take it back: eru-agent undrain %s", e.Word)
}

func byState(e Evidence) (Advice, bool) {
	state, reason, detail := e.state()
	switch state {
	case status.StateInvalid:
		if reason == status.ReasonTooLarge {
			return advice(detail, "publish fewer ports or networks")
		}
		if reason == string(healthcheck.ReasonCapability) {
			return advice("it is to be asked from inside, and the agent may not: "+detail, "give the agent what it needs, and restart it; or take the label eru.health.via off, and create the container anew")
		}
		return advice("a label cannot be understood: "+detail, "mend that label and create the container anew; until then it is never healthy")
	case status.StatePaused:
		return advice("it is paused by Docker", "let it go on: docker unpause %s", e.Word)
	case status.StateStopped:
		return advice("its process has ended: "+cmp.Or(detail, reason), "see why: docker logs --tail 50 %s", e.Word)
	case status.StateLost:
		return advice("its node is held to be lost: "+cmp.Or(detail, reason), "look at the node itself; its agent takes this back when it is there again")
	default:
		return none()
	}
}

// refused tells where somebody listens, if not where the probe asks.
func refused(e Evidence) (Advice, bool) {
	_, reason, detail := e.state()
	if reason != string(healthcheck.ReasonRefused) {
		return none()
	}
	_, rest, _ := strings.Cut(detail, ":")
	number, _, _ := strings.Cut(rest, ":")
	number, _, _ = strings.Cut(number, "/")
	var port uint16
	if _, err := fmt.Sscan(number, &port); err != nil {
		return advice("the connection is refused: "+detail, "let the program listen where the label says")
	}
	switch loopback, elsewhere := around(e.Listening, port); {
	case slices.ContainsFunc(e.Listening, func(at netip.AddrPort) bool { return at.Port() == port && !at.Addr().IsLoopback() }):
		return advice(fmt.Sprintf("the connection to port %d was refused, and the program listens on it by now", port), "wait for the next probe, and ask again")
	case loopback:
		return advice(fmt.Sprintf("the connection to port %d is refused: the program listens on it at 127.0.0.1 only, inside the container", port),
			"let it listen on 0.0.0.0:%d (or [::]:%d)", port, port)
	case len(elsewhere) > 0:
		return advice(fmt.Sprintf("the connection to port %d is refused: nobody in the container listens on it, but on %s", port, strings.Join(elsewhere, ", ")),
			"if the label names the wrong port, mend it; else let the program listen on %d", port)
	case e.Listening != nil:
		return advice(fmt.Sprintf("the connection to port %d is refused: nobody in the container listens on any port", port),
			"see whether the program has started: docker logs --tail 50 %s", e.Word)
	}
	return advice(fmt.Sprintf("the connection to port %d is refused: nobody listens on it at the container's address", port),
		"let the program listen on 0.0.0.0:%d, or mend the label if the port is another", port)
}

// around says whether port is listened on at a loopback address alone, and on
// which ports somebody listens else.
func around(listening []netip.AddrPort, port uint16) (bool, []string) {
	loopback := false
	var elsewhere []string
	for _, at := range listening {
		switch {
		case at.Port() == port:
			loopback = true
		case !at.Addr().IsLoopback() && !slices.Contains(elsewhere, fmt.Sprint(at.Port())):
			elsewhere = append(elsewhere, fmt.Sprint(at.Port()))
		}
	}
	return loopback, elsewhere
}

func byReason(e Evidence) (Advice, bool) {
	state, reason, detail := e.state()
	if state == status.StateHealthy || reason == "" {
		if state == status.StateStarting {
			return advice("it has not passed a probe yet", "wait for the first verdict, and ask again")
		}
		return none()
	}
	do := map[string]string{
		string(healthcheck.ReasonTimeout):      "see whether the program hangs or is slow (docker logs, docker stats); if it may take that long, raise eru.health.timeout",
		string(healthcheck.ReasonHTTPCode):     "ask it yourself and look into its log; mend eru.health.http.path if it is another one, or name the code in eru.health.http.codes if it is well",
		string(healthcheck.ReasonHTTPBody):     "compare its answer with the expression in eru.health.http.body",
		string(healthcheck.ReasonHTTPProtocol): "see whether that port speaks HTTP, or needs eru.health.http.scheme=https",
		string(healthcheck.ReasonTLS):          "give it a certificate that this node trusts, or set eru.health.http.tls.skip_verify=true",
		string(healthcheck.ReasonReset):        "see in its log why it closes the connection; a port that speaks TLS needs eru.health.http.scheme=https",
		string(healthcheck.ReasonUnreachable):  "look at the container's network: another one may be named by eru.health.network, or it may be asked from inside (eru.health.via: netns)",
		"no_address":                           withoutAddress(detail),
	}[reason]
	return advice("its probe fails: "+detail, "%s", cmp.Or(do, "look into its log: docker logs --tail 50 "+e.Word))
}

// withoutAddress is what to do by the words of package watcher.
func withoutAddress(detail string) string {
	switch {
	case strings.Contains(detail, "whose network it shares"):
		return "start the container whose network it shares"
	case strings.Contains(detail, "no address that this node can reach"):
		return "have it asked from inside: eru.health.via: netns (healthcheck.netns has to be on); or connect it to a network that this node reaches"
	}
	return "connect it to a network that this node reaches, and name that by eru.health.network"
}

// unsaid is healthy to the agent, and not in etcd.
func unsaid(e Evidence) (Advice, bool) {
	state, _, _ := e.state()
	switch {
	case state == "" && e.AgentGuarded && e.Etcd == nil:
		return advice("etcd cannot be asked ("+e.EtcdTrouble+"), and the agent's port is guarded (api.web_config)", "%s", e.AgentTrouble)
	case state == "" && e.AgentGuarded:
		return advice("etcd has no status of it, and the agent's port is guarded (api.web_config)", "%s", e.AgentTrouble)
	case state == "":
		return advice("the agent has not seen it yet", "ask again in a second")
	case e.Etcd == nil:
		return advice("the agent calls it healthy, but etcd cannot be asked: "+e.EtcdTrouble, "see that etcd can be reached, and that --etcd.endpoints is the agent's; proxies keep what they have meanwhile")
	case !e.Etcd.Exists && e.Agent != nil && e.Agent.Published.Revision != 0 && !e.Agent.Published.Deleted:
		return advice("the agent has written it to etcd, and it does not stand in the one that was asked: "+e.EtcdAt, "ask the agent's: --etcd.endpoints and --etcd.prefix as the agent has them")
	case !e.Etcd.Exists, !e.Etcd.Status.Healthy:
		return advice("the agent calls it healthy, and etcd does not say so yet", "look at /readyz of the agent: it says what keeps etcd from taking it")
	}
	return none()
}

// unused is healthy in etcd, and not of use to a proxy.
func unused(e Evidence) (Advice, bool) {
	switch {
	case len(e.Etcd.Status.Endpoints) == 0:
		return advice("it is healthy, and says no port that proxies may send to", "name one: eru.publish=80")
	case len(e.Refused) > 0:
		return advice(fmt.Sprintf("it is healthy, and published to port %d, on which nobody listens", e.Refused[0]), "mend eru.publish, or let the program listen on %d", e.Refused[0])
	case e.Etcd.Use != "ready":
		return advice("it is healthy in etcd, and proxies that keep its rules do not send to it ("+e.Etcd.Use+")", "ask again in a second; then compare the rules of docs/proxies.md")
	}
	return none()
}

// unheard is of use, but by an agent's word that is not there any more.
func unheard(e Evidence) (Advice, bool) {
	if !e.Etcd.Silent || e.Alone {
		return none()
	}
	return advice("it is healthy as far as is known, but its node's session in etcd has ended", "look at /readyz of the agent on that node")
}
