package chaos

import "syscall"

func agentVerbs() map[string]verb {
	return map[string]verb{
		"crash":        {3, false, nil, (*world).crash},
		"kill-agent":   {1, false, nil, (*world).killAgent},
		"start-agent":  {2, false, nil, (*world).startAgentAgain},
		"end-agent":    {1, false, nil, (*world).endAgent},
		"freeze-agent": {1, false, nil, (*world).freezeAgent},
		"thaw-agent":   {2, false, nil, (*world).thawAgent},
		"second-agent": {1, false, nil, (*world).secondAgent},
	}
}

func (w *world) startAgent() {
	w.agent, w.stopped, w.marred = w.node.Start(), false, false
}

func (w *world) startAgentAgain(step) bool {
	if w.agent != nil {
		return false
	}
	w.startAgent()
	return true
}

// killAgent ends it as a crash does.
func (w *world) killAgent(step) bool {
	if w.agent == nil {
		return false
	}
	if !ended(w.agent) { // as one of two does
		w.agent.Kill()
	}
	w.agent, w.stopped = nil, false
	return true
}

func (w *world) crash(s step) bool { return w.killAgent(s) && w.startAgentAgain(s) }

// endAgent asks it to end; it may still say so in etcd when the next one begins.
func (w *world) endAgent(step) bool {
	if w.agent == nil || w.stopped || ended(w.agent) {
		return false
	}
	w.agent.Signal(syscall.SIGTERM)
	w.older, w.agent = append(w.older, w.agent), nil
	return true
}

func (w *world) freezeAgent(step) bool {
	if w.agent == nil || w.stopped || ended(w.agent) {
		return false
	}
	w.agent.Signal(syscall.SIGSTOP)
	w.stopped = true
	return true
}

func (w *world) thawAgent(step) bool {
	if !w.stopped {
		return false
	}
	w.agent.Signal(syscall.SIGCONT)
	w.stopped = false
	return true
}

// secondAgent starts another one beside the one that runs, frozen or not; one of the two must end.
func (w *world) secondAgent(step) bool {
	if w.agent == nil || len(w.older) > 0 || ended(w.agent) {
		return false
	}
	w.older = append(w.older, w.agent)
	stopped := w.stopped
	w.startAgent()
	if stopped {
		w.older[0].Signal(syscall.SIGCONT)
	}
	return true
}
