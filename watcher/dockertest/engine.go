package dockertest

import (
	"net/http"
	"runtime"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
)

const serverVersion = "20.10.24"

// serveVersion answers GET /version.
func (s *Server) serveVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, types.Version{
		Components: []types.ComponentVersion{{Name: "Engine", Version: serverVersion}},
		Version:    serverVersion, APIVersion: s.cfg.APIVersion, MinAPIVersion: s.cfg.MinAPIVersion,
		Os: "linux", Arch: runtime.GOARCH, GoVersion: runtime.Version(),
	})
}

// serveInfo answers GET /info with little more than the number of containers.
func (s *Server) serveInfo(w http.ResponseWriter, _ *http.Request) {
	info := system.Info{
		ID: "dockertest", Name: "dockertest", ServerVersion: serverVersion, OSType: "linux", Architecture: runtime.GOARCH,
	}
	for _, c := range s.Containers() {
		info.Containers++
		switch c.Status {
		case "running", "restarting":
			info.ContainersRunning++
		case "paused":
			info.ContainersPaused++
		default:
			info.ContainersStopped++
		}
	}
	writeJSON(w, info)
}
