package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// labelSet is what a hostile owner may write on a container, and call it.
type labelSet struct {
	labels map[string]string
	name   string
}

// hostileHosts stand wherever a label could name another host. Nobody has them.
const hostileHosts = "evil.test|192.0.2.9|192.0.2.9:80|//192.0.2.9/|http://192.0.2.9/|http://evil.test:80/x|user@evil.test|@192.0.2.9/|127.250.0.9|127.0.0.1|localhost|[::1]|[2001:db8::9]:80|" +
	"2001:db8::9|0.0.0.0|0|evil.test#|evil.test\r\nX: y|evil.test%0d%0aX:%20y|evil.test\x00|\\\\evil.test\\x|ｅvil.test|évil.test| evil.test|evil.test.|file:///etc/passwd|unix:///var/run/docker.sock"

// hostileLabels are the labels that are known, and words for each, apart with a bar, the good ones first; PORT is one at
// which every container answers.
func hostileLabels() map[string]string {
	return map[string]string{
		"eru.health.http.port":            "PORT|PORT|PORT|80|1|65535|0|-1|65536|99999999999999999999|PORT,81|PORT;81| PORT |+PORT|0x50|1e3|８０|80/tcp|PORT\r\n|\x00|" + hostileHosts,
		"eru.health.http.path":            "/|/healthz?full=1|//|/../..|/%2e%2e/|/%0d%0aHost:%20evil.test|/ HTTP/1.1\r\nHost: evil.test\r\n\r\nGET /|/a b|/\t|*|?|#|;|/\x00|/é|/\x7f|" + hostileHosts,
		"eru.health.http.method":          "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|PRI|CONNECT|connect|get|M-SEARCH|GET /|GET\r\n|\x00|é|GET http://192.0.2.9/",
		"eru.health.http.host":            "shop.test|shop.test:80|*|a b|:|:80|[|]|" + hostileHosts,
		"eru.health.http.scheme":          "http|https|https|HTTP|ftp|h2c|ws|http:|http://192.0.2.9/",
		"eru.health.http.codes":           "200|200-399|200,204|100-599|000|0|-200|200-|-|99-1000|299-200|２００|200-299-300|2e2|200 - 299|\x00",
		"eru.health.http.body":            "^crowd|crowd$|.|^$|(|(a+)+$|(a*)*b|((a{30}){30}){30}|(?:\\pL?){22}\\d|[\xff|(?i)\\x{10ffff}|\\C|(?P<n>|a{1001}|\x00|(?s).*.*.*.*.*=.*|" + strings.Repeat("(", 900),
		"eru.health.http.tls.server_name": "shop.test|" + hostileHosts,
		"eru.health.http.tls.skip_verify": "true|false|1|yes|TRUE|-1|\x00",
		"eru.health.tcp.ports":            "PORT,80|PORT|1,2,3,4,5,6,7,8,9,10|1-65535|PORT,,80|,|" + strings.Repeat("7,", 500) + "7|" + hostileHosts,
		"eru.health.interval":             "1s|200ms|100ms|1h|1ns|0|-1s|1000000h|5|NaN|1e9s|1s1s|1\u00b5s|\x00",
		"eru.health.timeout":              "1s|500ms|100ms|10s|1ns|0|-1s|1000000h|5|99999999999999999999s|\x00",
		"eru.health.network":              "bridge|host|none|default|container:x|../x|evil\x1b[31m|" + hostileHosts,
		"eru.health.via":                  "host|netns|HOST|container:x|" + hostileHosts,
		"eru.publish":                     "80|80,443|PORT|all|-1|0-65535|" + hostileHosts,
		"eru.app":                         "shop|a.b|..|.|../../x|a/b|a%2fb|status:node|/|a\nb|a b|é|\x00|-|_|\x1b[31m|" + hostileHosts,
		"eru.entrypoint":                  "web|..|../../agent/n|a/b|\n|é|" + hostileHosts,
		"com.docker.compose.project":      "stack|../x|a/b|é",
		"com.docker.compose.service":      "db|../x|a/b|\n",
		"com.docker.swarm.service.name":   "stack.web|../x|a b",
		"ERU":                             "1|0|\x00",
	}
}

// hostileWords are words for every label that is tried.
func hostileWords() map[string][]string {
	long := strings.Repeat("a", 20<<10)
	words := map[string][]string{}
	for label, list := range hostileLabels() {
		words[label] = append(strings.Split(list, "|"), "", long)
	}
	for header, list := range map[string]string{
		"Host": "evil.test", "host ": "evil.test", "Content-Length": "5|-1|0", "content-length": "5", "Transfer-Encoding": "chunked", "TE": "trailers", "Trailer": "X",
		"Connection": "close|keep-alive, upgrade|Host", "Upgrade": "h2c|websocket", "Expect": "100-continue", "Proxy-Connection": "keep-alive", "Proxy-Authorization": "Basic eDp5",
		"X-Forwarded-Host": "evil.test", "Range": "bytes=0-0", "User-Agent": "me|\r\n", "X": "a\r\nX: y|a\nb|\x00|\t|é|" + long, "X Y": "a", "X:Y": "a", "X\r\nY": "a", "é": "a", "": "a", "\x00": "a", long[:3000]: "a",
	} {
		words["eru.health.http.header."+header] = strings.Split(list, "|")
	}
	for _, unknown := range []string{
		"eru.health.", "eru.health.http", "eru.health.http.", "eru.health.http.prot", "eru.health.http.port.", "eru.health.HTTP.port", "eru.health.http.port ", "eru.health..", "eru.health.dubbo.port",
		"eru.health.tcp.port", "eru.health.\x1b[31m", "eru.health.é", "eru.health.\r\nX", "eru.health." + long, "eru.healthy", "ERU.health.http.port", "\x00", "", long,
	} {
		words[unknown] = []string{"80", "evil.test", "\x1b]0;x\x07", long}
	}
	words["ERU_META"] = hostileMeta()
	return words
}

// hostileMeta are values of ERU_META.
func hostileMeta() []string {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + "1" + strings.Repeat(end, n) }
	list := []string{
		`{"Publish":["80"],"HealthCheck":{"TCPPorts":["PORT"],"HTTPPort":"PORT","HTTPURL":"/h","HTTPCode":200}}`,
		`{"HealthCheck":{"HTTPPort":"PORT"}}`, `{"HealthCheck":{"HTTPPort":"PORT","HTTPPort":"192.0.2.9:80"}}`, `{"healthcheck":{"httpport":"PORT","HTTPURL":"//192.0.2.9/"}}`,
		`{"HealthCheck":{"HTTPPort":"PORT"},"HealthCheck":{"HTTPPort":80}}`, `{"HealthCheck":{"HTTPPort":"PORT","HTTPURL":"http://192.0.2.9/\u000d\u000aX: y"}}`,
		`{"HealthCheck":{"HTTPPort":80}}`, `{"HealthCheck":{"HTTPCode":1e400}}`, `{"HealthCheck":{"HTTPCode":-200,"HTTPPort":"PORT"}}`, `{"HealthCheck":{"TCPPorts":"80"}}`, `{"HealthCheck":{"TCPPorts":[["80"]]}}`,
		`{"HealthCheck":{"TCPPorts":["192.0.2.9:80","PORT"]}}`, `{"HealthCheck":[]}`, `{"HealthCheck":null,"Publish":null}`, `{"Publish":[80]}`, `{"Publish":["-1"]}`, `{"Publish":["\u0000"]}`,
		`null`, `0`, `"x"`, `[]`, `{}`, ``, `{`, `{}{}`, "\x00", `{"HealthCheck":{"HTTPPort":"\ud800"}}`, `{"HealthCheck":{"TCPPorts":[` + strings.Repeat(`"PORT",`, 5000) + `"1"]}}`,
		deep("[", "]", 20_000), deep(`{"HealthCheck":`, "}", 20_000), `{"Other":` + deep("[", "]", 9000) + `,"HealthCheck":{"HTTPPort":"PORT"}}`, `{"HealthCheck":{"HTTPURL":"` + strings.Repeat("/a", 1<<19) + `"}}`,
	}
	return list
}

// word is one word for one label.
type word struct{ label, value string }

// allWords are all words for all labels, in an order of chance.
func allWords(rng *rand.Rand, words map[string][]string) []word {
	var all []word
	for _, label := range sortedKeys(words) {
		for _, value := range words[label] {
			all = append(all, word{label, value})
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// labelSets makes hostile sets, the same for the same seed. At port every container answers. Half of them ask for a check
// that is well but for one word, each word in its turn; the others are made by chance.
func labelSets(seed uint64, n int, port string) []labelSet {
	rng := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // the same again is the point
	words := hostileWords()
	all, names := allWords(rng, words), sortedKeys(words)
	fill := func(value string) string { return strings.ReplaceAll(value, "PORT", port) }
	sets := make([]labelSet, n)
	for i := range sets {
		labels := map[string]string{"ERU": "1", "eru.app": fmt.Sprintf("app%d", i), "eru.entrypoint": "web", "eru.health.http.port": port}
		if i%2 == 0 {
			one := all[i/2%len(all)]
			accompany(labels, one.label)
			labels[one.label] = fill(one.value)
		} else {
			byChance(rng, labels, words, names, fill)
		}
		name := []string{"c", "c", "app_web_", "a/b", "..", "", "é", "a\nb", "../../x_y_z", strings.Repeat("n", 300)}[rng.IntN(10)]
		sets[i] = labelSet{labels: asDocker(labels), name: name}
	}
	return sets
}

// accompany makes room for a label: what it needs beside it, and nothing that wins over it.
func accompany(labels map[string]string, label string) {
	switch {
	case strings.HasPrefix(label, "eru.health.http.tls."):
		labels["eru.health.http.scheme"] = "https"
	case strings.HasPrefix(label, "com.docker."):
		delete(labels, "eru.app")
		delete(labels, "eru.entrypoint")
		labels["com.docker.compose.project"], labels["com.docker.compose.service"] = "stack", "db"
	case label == "ERU_META":
		delete(labels, "eru.health.http.port")
	}
}

// byChance puts some words together, and spoils some of them.
func byChance(rng *rand.Rand, labels map[string]string, words map[string][]string, names []string, fill func(string) string) {
	if rng.IntN(3) == 0 {
		clear(labels)
		labels["ERU"] = "1"
	}
	for range 1 + rng.IntN(4) {
		name := names[rng.IntN(len(names))]
		list := words[name]
		if rng.IntN(2) == 0 {
			list = list[:min(3, len(list))] // the good ones
		}
		labels[name] = fill(list[rng.IntN(len(list))])
		if rng.IntN(8) == 0 {
			labels[name] = spoil(rng, labels[name])
		}
	}
	if rng.IntN(20) == 0 {
		labels["eru.health."+spoil(rng, "http.port")] = fill("PORT")
	}
}

// spoil puts something anywhere into a value.
func spoil(rng *rand.Rand, value string) string {
	marks := []string{"\x00", "\r\n", "\n", "\t", " ", "@", ":", "/", "//", "%00", "%0d%0a", "é", "\xff", "\u202e", "\u2028", "\x1b[2J", "\x7f", "\"", "\\", "{", "|", "9", "-"}
	at := rng.IntN(len(value) + 1)
	return value[:at] + marks[rng.IntN(len(marks))] + value[at:]
}

// asDocker is what comes of labels on their way through Docker's API, which is JSON.
func asDocker(labels map[string]string) map[string]string {
	text, err := json.Marshal(labels)
	out := map[string]string{}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // strings are always JSON
	}
	return out
}
