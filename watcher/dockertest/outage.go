package dockertest

// CutOff closes the listener and every connection while the engine itself lives on: events are still recorded and can be
// replayed after Up.
func (s *Server) CutOff() { s.down() }

// Down ends the engine: the listener and every connection are closed and the replay buffer is lost. What happens to
// containers until Up gives no event at all, as with live-restore.
func (s *Server) Down() {
	s.hub.leave()
	s.down()
}

// Up listens again at the same endpoint after CutOff, Down or Shutdown.
func (s *Server) Up() {
	s.t.Helper()
	s.hub.enter()
	if err := s.up(); err != nil {
		s.t.Errorf("bringing the fake docker server up again: %v", err)
	}
}

// Shutdown ends the engine as dockerd without live-restore does: every container is stopped, with its events, and then
// the engine is Down.
func (s *Server) Shutdown() {
	for _, c := range s.Containers() {
		s.Stop(c.ID)
	}
	s.Down()
}

// Forget removes every container without any event, as if the engine had lost its data.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.containers)
	s.addresses = addressPool{}
}

// ForgetEvents empties the replay buffer.
func (s *Server) ForgetEvents() { s.hub.forget() }

// CutStreams ends all event streams in the middle; a client reads "unexpected EOF".
func (s *Server) CutStreams() { s.hub.end(errCut) }

// EndStreams ends all event streams cleanly; a client reads EOF.
func (s *Server) EndStreams() { s.hub.end(errEnded) }
