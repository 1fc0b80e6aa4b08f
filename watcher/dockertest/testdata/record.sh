#!/bin/sh
# Records what a real Docker Engine says of the containers in shape_test.go, for that test to compare the fake with.
# Usage: testdata/record.sh IMAGE, from this package's folder, with an image whose entrypoint runs until SIGTERM and that has
# no labels and exposes no ports. Needs docker, curl and jq. Uses the address 172.17.0.2: no other container may run.
set -eu
image=$1
out=$(dirname "$0")
api() { curl -sf --unix-socket /var/run/docker.sock "http://docker/v1.41$1"; }
inspect() { api "/containers/$1/json" | jq -S '{Id, Name, Created, Image, RestartCount, State, NetworkSettings,
	Config: .Config | {Image, Labels, ExposedPorts, StopSignal, StopTimeout},
	HostConfig: .HostConfig | {NetworkMode, PortBindings, RestartPolicy}}'; }
list() { api "/containers/json?all=1" | jq -S .; }
scene() { list >"$out/$1-list.json" && inspect "$2" >"$out/$1-inspect.json"; }

since=$(date +%s.%N)
docker create --name web --label ERU=1 --label eru.health.http.port=80 -p 127.0.0.1:18080:80 -p 18081:81/udp --expose 82 "$image"
scene created web
docker start web
scene running web
docker exec web /none || true
docker network create --subnet 172.30.0.0/16 --ipv6 --subnet fd00:77::/64 side
docker network connect --ip 172.30.0.9 --ip6 fd00:77::9 side web
scene connected web
docker network disconnect side web
docker rename web site
docker pause site
scene paused site
docker unpause site
docker kill -s CONT site
docker restart site
docker stop site
scene exited site
docker network connect side site
docker network disconnect side site
docker start site
docker kill site
docker rm site
docker run -d --name host --network host "$image"
scene host host
docker run -d --name shared --network container:host "$image"
inspect shared >"$out/shared-inspect.json"
docker rm -f shared
docker rm -f host
docker run -d --name none --network none --stop-signal HUP --stop-timeout 3 "$image"
scene none none
docker pause none
docker stop none
docker rm -f none
docker network rm side
api "/events?since=$since&until=$(date +%s.%N)" | jq -Sc 'select(.Type == "container" or .Type == "network")' >"$out/events.json"
