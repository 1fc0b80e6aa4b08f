package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/projecteru2/eru-agent/e2e/dockercli"
)

// Docker is the machine's own, with an image of the test web server.
type Docker struct {
	Endpoint string
	Label    string // what those containers have that an agent is to care for, as key=value

	run   string // the label of all containers of this run
	image string
	count int
}

// Docker makes the image; what is run of it goes with the stage.
func (s *Stage) Docker(ctx context.Context) (*Docker, error) {
	d := &Docker{Endpoint: "unix:///var/run/docker.sock", Label: fmt.Sprintf("eru.bench.agent=%d", os.Getpid()), run: fmt.Sprintf("eru.bench.run=%d", os.Getpid())}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		d.Endpoint = host
	}
	var err error
	d.image, err = dockercli.Import(ctx, d.Endpoint, s.Program("web"), fmt.Sprintf("eru-agent-bench-%d", os.Getpid()))
	if err == nil {
		s.onClose(d.clear)
	}
	return d, err
}

// Command runs Docker's command line and returns what it prints.
func (d *Docker) Command(ctx context.Context, args ...string) (string, error) {
	return dockercli.Run(ctx, d.Endpoint, nil, args...)
}

// clear removes what is left, also when the run was interrupted.
func (d *Docker) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if ids, err := d.Command(ctx, "ps", "--all", "--quiet", "--filter", "label="+d.run); err == nil && ids != "" {
		_, _ = d.Command(ctx, append([]string{"rm", "--force"}, strings.Fields(ids)...)...)
	}
	_, _ = d.Command(ctx, "rmi", "--force", d.image)
}

// Run starts a container that answers HTTP on port 80, and is told on 8081 how
// to behave; it returns the container's ID.
func (d *Docker) Run(ctx context.Context, labels ...string) (string, error) {
	var flags []string
	for _, label := range labels {
		flags = append(flags, "--label", label)
	}
	return d.RunAs(ctx, flags...)
}

// RunAs is Run with flags for docker run.
func (d *Docker) RunAs(ctx context.Context, flags ...string) (string, error) {
	d.count++
	args := []string{"run", "--detach", "--label", d.run, "--label", "eru.health.http.port=80", "--name", fmt.Sprintf("eru-bench-%d-%d", os.Getpid(), d.count)}
	return d.Command(ctx, append(append(args, flags...), d.image)...)
}

// Address is a container's on its only network.
func (d *Docker) Address(ctx context.Context, id string) (string, error) {
	return d.Command(ctx, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)
}

// Pid is the number of a container's process.
func (d *Docker) Pid(ctx context.Context, id string) (int, error) {
	text, err := d.Command(ctx, "inspect", "--format", "{{.State.Pid}}", id)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// Told is Docker's own account of when things happened.
type Told struct {
	lines chan string
	End   func()
}

// Events follows them from a second ago on: the command may take a while to
// subscribe.
func (d *Docker) Events(ctx context.Context) (*Told, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := exec.CommandContext(ctx, "docker", "events", "--since", "1s", "--filter", "label="+d.run, "--format", "{{.Action}} {{.ID}} {{.TimeNano}}")
	c.Env = append(os.Environ(), "DOCKER_HOST="+d.Endpoint)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("following Docker's events: %w", err)
	}
	t := &Told{lines: make(chan string, 1000), End: func() { cancel(); _ = c.Wait() }}
	go func() {
		defer close(t.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			t.lines <- scan.Text()
		}
	}()
	return t, nil
}

// Await returns when an action happened to a container, by Docker's clock, which
// is this machine's.
func (t *Told) Await(ctx context.Context, action, id string) (time.Time, error) {
	for {
		select {
		case line, ok := <-t.lines:
			if !ok {
				return time.Time{}, errors.New("following Docker's events: the command has ended")
			}
			words := strings.Fields(line)
			if len(words) == 3 && words[0] == action && words[1] == id {
				nano, err := strconv.ParseInt(words[2], 10, 64)
				return time.Unix(0, nano), err
			}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("waiting for Docker to tell of %s: %w", action, ctx.Err())
		}
	}
}
