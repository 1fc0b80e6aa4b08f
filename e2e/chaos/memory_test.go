package chaos

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/e2e/rig"
)

// footprint is how much of the machine's memory an agent has, in bytes.
type footprint struct{ now, most int }

func memory(t testing.TB, a *rig.Agent) footprint {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	var f footprint
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			f.now = kib << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			f.most = kib << 10
		}
	}
	if f.now == 0 || f.most == 0 {
		t.Fatalf("no memory in %q", text)
	}
	return f
}

// cpu is how much CPU time an agent has used so far, to 10 ms.
func cpu(t testing.TB, a *rig.Agent) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // proc_pid_stat(5): the third field begins
	var user, system int64
	if fields := strings.Fields(rest); len(fields) > 12 {
		_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	}
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}
