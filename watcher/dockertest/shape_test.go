package dockertest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/projecteru2/eru-agent/watcher/dockertest"
)

// TestShapes plays the scenes of testdata/record.sh and compares every answer and every event with what Docker Engine
// 20.10.24 said in the same scenes.
func TestShapes(t *testing.T) {
	s := dockertest.New(t, dockertest.Config{TCP: true})
	since := time.Now()
	scene := func(name, ref string) {
		t.Helper()
		compare(t, name+"-inspect.json", fetch(t, s, "/containers/"+ref+"/json"))
		if name != "shared" {
			compare(t, name+"-list.json", fetch(t, s, "/containers/json?all=1"))
		}
	}
	playSite(s, scene)
	playModes(s, scene)
	s.RemoveNetwork("side")

	until := strconv.FormatInt(time.Now().Add(-time.Millisecond).Unix(), 10) + ".999999999"
	got := fetch(t, s, "/events?since="+strconv.FormatInt(since.Unix(), 10)+"&until="+until)
	compare(t, "events.json", got)
}

func playSite(s *dockertest.Server, scene func(name, ref string)) {
	c := s.Create(dockertest.Spec{
		Name: "web", Labels: map[string]string{"ERU": "1", "eru.health.http.port": "80"},
		Networks: map[string]string{"bridge": "172.17.0.2"},
		Ports: []dockertest.Port{
			{Private: 80, Public: 18080, HostIP: "127.0.0.1"}, {Private: 81, Public: 18081, Proto: "udp"}, {Private: 82},
		},
	})
	scene("created", "web")
	s.Start(c.ID)
	scene("running", "web")
	s.AddNetwork("side", "bridge")
	s.Connect("web", "side", "172.30.0.9,fd00:77::9")
	scene("connected", "web")
	s.Disconnect("web", "side")
	s.Rename("web", "site")
	s.Pause("site")
	scene("paused", "site")
	s.Unpause("site")
	s.Kill("site", "CONT")
	s.Restart("site")
	s.Stop("site")
	scene("exited", "site")
	s.Connect("site", "side", "")
	s.Disconnect("site", "side")
	s.Start("site")
	s.Kill("site", "KILL")
	s.Remove("site")
}

func playModes(s *dockertest.Server, scene func(name, ref string)) {
	s.Run(dockertest.Spec{Name: "host", NetworkMode: "host"})
	scene("host", "host")
	s.Run(dockertest.Spec{Name: "shared", NetworkMode: "container:host"})
	scene("shared", "shared")
	s.Remove("shared")
	s.Remove("host")
	s.Run(dockertest.Spec{Name: "none", NetworkMode: "none", StopSignal: "HUP", StopTimeout: 3})
	scene("none", "none")
	s.Pause("none")
	s.Stop("none")
	s.Remove("none")
}

// compare reports what the recording has and the fake has not, or has differently. The fake may say more.
func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	wantValues, gotValues := values(t, want), values(t, got)
	if len(wantValues) != len(gotValues) {
		t.Errorf("%s: %d values recorded, the fake gives %d", file, len(wantValues), len(gotValues))
		return
	}
	for i := range wantValues {
		missing(t, file+" #"+strconv.Itoa(i), wantValues[i], gotValues[i])
	}
}

func values(t *testing.T, raw []byte) []any {
	t.Helper()
	var all []any
	decoder := json.NewDecoder(bufio.NewReader(bytes.NewReader(raw)))
	for {
		var v any
		err := decoder.Decode(&v)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := v.(map[string]any); ok && isExec(m) {
			continue // The command of the recording did not exist, so that its exec never ended.
		}
		all = append(all, v)
	}
}

func isExec(m map[string]any) bool {
	action, _ := m["Action"].(string)
	return len(action) > 4 && action[:4] == "exec"
}

func missing(t *testing.T, path string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		for key, value := range want {
			switch key {
			case "IPAMConfig", "Aliases", "DriverOpts": // What "docker network connect" was told; the fake is not told.
				continue
			case "StopSignal", "StopTimeout", "ExposedPorts": // Null in the recording, left out by the types of the client.
				if value == nil && got[key] == nil {
					continue
				}
			}
			if _, ok := got[key]; !ok {
				t.Errorf("%s: %q is missing", path, key)
				continue
			}
			if number, isNumber := value.(float64); isNumber && differsFromRunToRun(key) {
				if there, _ := got[key].(float64); (there > 0) != (number > 0) {
					t.Errorf("%s.%s: %v, recorded is %v", path, key, got[key], value)
				}
				continue
			}
			missing(t, path+"."+key, value, got[key])
		}
	case []any:
		got, _ := got.([]any)
		if len(want) != len(got) {
			t.Errorf("%s: %v, recorded is %v", path, got, want)
			return
		}
		for i := range want {
			missing(t, path+"["+strconv.Itoa(i)+"]", want[i], got[i])
		}
	default:
		if !reflect.DeepEqual(vague(want), vague(got)) {
			t.Errorf("%s: %v, recorded is %v", path, got, want)
		}
	}
}

// differsFromRunToRun says of which numbers only that there is one can be compared. It goes by the name: a process ID may
// be as small as any other number.
func differsFromRunToRun(key string) bool {
	switch key {
	case "Pid", "Created", "time", "timeNano":
		return true
	}
	return false
}

// vague replaces what differs from run to run in a text: times and IDs.
func vague(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	text = regexp.MustCompile(`\b([0-9a-f]{64}|[0-9a-f]{12})\b`).ReplaceAllString(text, "ID")
	text = regexp.MustCompile(`^2\d{3}-\d\d-\d\dT[0-9:.]+Z$`).ReplaceAllString(text, "TIME")
	return regexp.MustCompile(`Less than a second|About a \w+|\d+ ?s(econds?)?`).ReplaceAllString(text, "A WHILE")
}

func fetch(t *testing.T, s *dockertest.Server, path string) []byte {
	t.Helper()
	resp, err := http.Get("http://" + s.Endpoint()[len("tcp://"):] + "/v1.41" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %q %v", path, resp.Status, body, err)
	}
	return body
}
