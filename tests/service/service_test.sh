#!/bin/bash
# The program itself: what it says when it cannot start, how it starts, drains and comes back.
# Arguments: sync_service, token_tool.
set -u
service=$PWD/$1
token_tool=$PWD/$2
work=$(mktemp -d /tmp/serviceXXXXXX)
pids=()
trap 'kill -9 "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT
data=$work/data
failures=0

check() { # check NAME COMMAND...: one case
    local name=$1
    shift
    if "$@"; then
        echo "ok: $name"
    else
        echo "FAILED: $name"
        failures=$((failures + 1))
    fi
}

start() { # start ARGUMENT...: in the background until ready; sets $pid
    rm -f "$work/ready"
    "$service" --data "$data" --ready-file "$work/ready" "$@" 2>>"$work/log" &
    pid=$!
    pids+=("$pid")
    for _ in $(seq 300); do
        [ -s "$work/ready" ] && return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

refuses() { # refuses STATUS PATTERN ARGUMENT...: ends at once with one line on stderr
    local status=$1 pattern=$2 got
    shift 2
    timeout 20 "$service" "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ "$got" = "$status" ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q "$pattern" "$work/err" &&
        return 0
    echo "status $got:" && cat "$work/err"
    return 1
}

ends_with() { # ends_with STATUS: the started one
    wait "$pid"
    local got=$?
    [ "$got" = "$1" ] || { echo "status $got" && return 1; }
}

logs() { # logs PATTERN: the log says so, sooner or later
    for _ in $(seq 300); do
        grep -q "$1" "$work/log" && return 0
        sleep 0.05
    done
    return 1
}

page() { # page PATH: GET from the metrics page
    local port
    port=$(sed -n 's/^metrics_port=//p' "$work/ready")
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: x\r\n\r\n' "$1" >&3
    cat <&3
    exec 3>&-
}

check "missing keys are named" refuses 1 "keys/jwks.json" --data "$data"
check "keys are made" "$token_tool" --init --data "$data"
before=$(cat "$data/keys/jwks.json")
check "keys are made once" "$token_tool" --init --data "$data"
check "keys stay" [ "$before" = "$(cat "$data/keys/jwks.json")" ]
check "keys are the user's alone" [ "$(stat -c %a "$data/keys/signing.json")" = 600 ]
check "unknown option is refused" refuses 2 "no-such" --no-such
check "address without a port is refused" refuses 2 "grpc" --data "$data" --grpc nowhere
check "remote address is refused" refuses 2 "allow-remote" --data "$data" --grpc 0.0.0.0:0
check "log level is checked" refuses 2 "log-level" --data "$data" --log-level loud
printf 'field booking seat client\n' >"$work/policies"
check "policies file is read" grep -q "policies = $work/policies" \
    <("$service" --data "$data" --policies "$work/policies" --check-config)
printf 'field booking seat client\nfield booking seat mine\n' >"$work/policies"
check "wrong policies are named" refuses 2 "line 2" --data "$data" --policies "$work/policies"
check "missing policies file is named" refuses 2 "$work/none" --data "$data" --policies "$work/none"
check "configuration is shown" \
    grep -q "workers = 3" <("$service" --data "$data" --workers 3 --check-config)
check "version is shown" grep -q sync_service <("$service" --version)
check "help names every option" grep -q -- "--store-fault-file" <("$service" --help)

check "service starts" start --grpc 127.0.0.1:0 --metrics 127.0.0.1:0
check "socket folder is the user's alone" [ "$(stat -c %a "$data/run")" = 700 ]
check "busy store or socket is refused" refuses 1 "" --data "$data"
port=$(sed -n 's/^grpc_port=//p' "$work/ready")
mkdir -p "$work/other" && cp -r "$data/keys" "$work/other/keys"
check "busy port is named" refuses 1 ":$port" --data "$work/other" --grpc "127.0.0.1:$port"
check "metrics are shown" grep -q grpc_server_started_total <(page /metrics)
check "other pages are not found" grep -q "404 Not Found" <(page /x)
kill -HUP "$pid"
check "keys are read again" logs "keys read again"
check "ready file is there" [ -s "$work/ready" ]
kill -TERM "$pid"
check "TERM ends well" ends_with 0
check "ready file is gone" [ ! -e "$work/ready" ]
check "socket is gone" [ ! -e "$data/run/service.sock" ]

check "service starts again" start
kill -9 "$pid"
wait "$pid" 2>/dev/null
check "socket is left by a crash" [ -S "$data/run/service.sock" ]
check "service replaces the socket of a crash" start
kill -INT "$pid"
check "INT ends well" ends_with 0

rm -rf "$data/store"
echo "no store" >"$data/store"
check "store that is a file is refused" refuses 1 "store" --data "$data"

[ "$failures" = 0 ]
