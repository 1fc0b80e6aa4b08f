package report

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Report is all that a run has to say.
type Report struct {
	Date    time.Time     `json:"date"`
	Took    time.Duration `json:"took_ns"`
	Command string        `json:"command"`
	Machine Machine       `json:"machine"`
	Etcd    string        `json:"etcd"`
	Members int           `json:"members,omitempty"` // of etcd, if more than one
	Agent   string        `json:"agent"`
	Figures []Figure      `json:"figures"`
	Points  []Point       `json:"points"`
	Tables  []string      `json:"tables,omitempty"`  // in Markdown, as somebody else made them
	Skipped []string      `json:"skipped,omitempty"` // what could not be measured, and why
}

// Machine is what the figures are of. It has no name.
type Machine struct {
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	CPUs   int    `json:"cpus"`
	Model  string `json:"cpu_model"`
	Memory int64  `json:"memory_bytes"`
	Load   string `json:"load_at_start"`
}

// Point is what the whole agent costs at one size of node.
type Point struct {
	N          int     `json:"containers"`
	Interval   float64 `json:"interval_s"`
	Kind       string  `json:"kind"`
	Rate       float64 `json:"probes_per_s"`
	PerProbe   float64 `json:"cpu_us_per_probe"`
	CPU        float64 `json:"cpu_ms_per_s"`
	Resident   float64 `json:"rss_mb"`
	Anonymous  float64 `json:"rss_anonymous_mb"`
	Peak       float64 `json:"rss_peak_mb"`
	Voluntary  float64 `json:"voluntary_switches_per_s"`
	Forced     float64 `json:"involuntary_switches_per_s"`
	Docker     float64 `json:"docker_calls"` // in the span
	Puts       float64 `json:"etcd_puts"`    // in the span
	KeepAlives float64 `json:"etcd_keep_alives"`
	Span       float64 `json:"span_s"`
	// Sticks are the yardsticks' CPU per probe in us, by name.
	Sticks map[string]float64 `json:"yardsticks_us_per_probe,omitempty"`
}

// ThisMachine reads what the kernel says of it.
func ThisMachine() Machine {
	m := Machine{Go: runtime.Version(), CPUs: runtime.NumCPU(), Model: field("/proc/cpuinfo", "model name")}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(text), " ")
	}
	return m
}

func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Write writes the report as JSON.
func (r *Report) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	return nil
}

// Read reads what Write has written.
func Read(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	r := &Report{}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the figures: %w", err)
	}
	return r, nil
}
