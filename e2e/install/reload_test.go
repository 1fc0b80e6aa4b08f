package install

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/projecteru2/eru-agent/e2e/rig"
	"github.com/projecteru2/eru-agent/status/etcdtest"
)

// api is where an agent that is to be found listens: on an address that no other run on this machine has.
var api = fmt.Sprintf("addr: 127.%d.%d.%d:12345", 1+os.Getpid()>>16, os.Getpid()>>8&255, os.Getpid()&255)

const (
	configFile = "/etc/eru/agent.yaml"
	reload     = "systemctl reload eru-agent"
)

// TestReload has systemd and people make the packaged agent read good files and bad ones.
func TestReload(t *testing.T) {
	n := r.Node(t, etcdtest.Start(t))
	h := newHost(t)
	h.install(newer, "eru-agent")
	config := settings(n, "/docker.sock", "{"+api+"}")
	h.write(configFile, config)
	h.do("systemctl start eru-agent")
	n.Run("shop", rig.HTTP).Await("healthy")
	since := n.Catch()
	h.journal()

	t.Run("a good file", func(t *testing.T) {
		h := h.in(t)
		config += "pod: other\nlog: {level: debug}\n"
		h.write(configFile, config)
		h.do(reload)
		said := "\n"
		rig.Await(t, "the agent and the command to say what was taken", func() error {
			if more := h.journal(); more != "" {
				said += more + "\n"
			}
			for _, want := range []string{
				`the configuration was read again` + "\t" + `{"taken": ["log.level: info -> debug"]}`,
				`some keys are taken only after a restart` + "\t" + `{"keys": ["pod: \"\" -> other"]}`,
				"\ntaken    log.level: info -> debug\n", // this and the next from the command
				"\nrestart  pod: \"\" -> other\n",
			} {
				if !strings.Contains(said, want) {
					return fmt.Errorf("the journal has no %q:\n%s", want, said)
				}
			}
			return nil
		})
		rig.Await(t, "a line of level debug", func() error {
			if _, _, code := h.try("journalctl --unit eru-agent --output cat | grep --quiet DEBUG.*verdict"); code != 0 {
				return fmt.Errorf("grep ends with %d", code)
			}
			return nil
		})
	})
	t.Run("a bad file", func(t *testing.T) { h.in(t).badFile(config) })
	h.write(configFile, config)
	t.Run("by hand", func(t *testing.T) { h.in(t).byHand() })
	t.Run("a guarded port", func(t *testing.T) {
		h.in(t).guarded(strings.Replace(config, api, api+", web_config: /etc/eru/web.yaml", 1))
	})
	unchanged(t, n, since)
}

// badFile is refused by the command, which systemd runs, and by the agent.
func (h *host) badFile(config string) {
	h.t.Helper()
	pid := h.do(mainPID)
	fault := fmt.Sprintf("%s:%d:24: healthcheck.timeout: got \"never\", want a duration from 10ms to 10s, as 2s", configFile, 1+strings.Count(config, "\n"))
	h.write(configFile, config+"healthcheck: {timeout: never}\n")
	h.answers(reload, 1, "Job for eru-agent.service failed.")
	// The command has said it, and the agent was not asked.
	if said := h.journal(); strings.Count(said, "\n"+fault+"\n") != 1 || strings.Contains(said, "configuration") {
		h.t.Errorf("the journal has %q, want one line %q", said, fault)
	}
	h.do("systemctl kill --kill-who=main --signal=HUP eru-agent")
	rig.Await(h.t, "the agent to refuse the file", func() error {
		said := h.journal()
		if !strings.Contains(said, "the new configuration is wrong; the old one stays in force") || !strings.Contains(said, configFile) {
			return fmt.Errorf("the journal goes on with %q", said)
		}
		return nil
	})
	h.answers("eru-agent reload", 2, fault)
	h.want("systemctl is-active eru-agent", "active")
	h.want(mainPID, pid)
}

// byHand reloads as several accounts.
func (h *host) byHand() {
	h.t.Helper()
	const waits, nobody = `restart  pod: "" -> other`, "runuser --user nobody -- "
	h.answers("eru-agent reload", 0, waits)
	h.answers("eru-agent reload --pid $("+mainPID+")", 0, waits)
	h.answers("eru-agent reload --pid 1", 1, ", not 1: nothing was sent")
	h.answers("runuser --user eru-agent -- eru-agent reload", 0, waits)
	h.answers(nobody+"eru-agent reload", 2, configFile+": permission denied; be root, or let this account read the file")
	h.do("chmod o+r " + configFile)
	h.answers(nobody+"eru-agent reload", 1, "permission denied; be root, or, if the agent has no capabilities (netns.conf), its account")
	h.do("chmod o-r " + configFile)
}

// guarded is an agent that cannot be asked.
func (h *host) guarded(config string) {
	h.t.Helper()
	// A bcrypt hash; no password is ever tried.
	h.write("/etc/eru/web.yaml", `basic_auth_users: {somebody: "$2y$05$abcdefghijklmnopqrstuuOq8q8q8q8q8q8q8q8q8q8q8q8q8q8q8q8"}`)
	h.do("chmod 640 /etc/eru/web.yaml && chgrp eru-agent /etc/eru/web.yaml")
	h.write(configFile, config)
	h.do("systemctl restart eru-agent")
	h.journal()
	h.answers("eru-agent reload", 2, "say which process it is with --pid")
	for _, line := range []string{"eru-agent reload --pid $(" + mainPID + ")", reload} {
		h.do(line)
		rig.Await(h.t, "the agent to read it again", func() error {
			if said := h.journal(); !strings.Contains(said, "the configuration was read again") {
				return fmt.Errorf("after %s the journal goes on with %q", line, said)
			}
			return nil
		})
	}
	h.want("systemctl is-active eru-agent", "active")
}
