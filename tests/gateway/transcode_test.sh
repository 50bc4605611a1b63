#!/bin/bash
# The transcode tool: one message, framed messages, and what it says when something is wrong.
# transcode_test.sh TRANSCODE DESCRIPTOR_SET
set -u
tool=$1 set=$2
failures=0

expect() { # WHAT GOT WANTED
    [ "$2" = "$3" ] && return
    echo "$1: got '$2', not '$3'"
    failures=$((failures + 1))
}

run() { "$tool" --descriptor-set "$set" "$@" 2>&1; }

part="--message sample.v1.Part --to"
expect "to binary" \
    "$(echo '{"name":"ab","size":5}' | run $part binary | od -An -tx1 | tr -d ' \n')" 0a0261621005
expect "to json" "$(printf '\x0a\x02ab\x10\x05' | run $part json)" '{"name":"ab","size":5}'
expect "unknown refused" "$(echo '{"x":1}' | run $part binary --reject-unknown; echo $?)" \
    $'transcode: x: there is no such field\n1'
expect "unknown ignored" "$(echo '{"x":1}' | run $part binary --ignore-unknown; echo $?)" 0
expect "beyond JSON" "$(printf '\x08\xff\xff\xff\xff\xff\xff\xff\x7f' |
    run --message google.protobuf.Timestamp --to json; echo $?)" \
    $'transcode: json: the Timestamp is outside the years 0001 to 9999\n1'
# Two answers of one stream: an error of 1 + 42 bytes, then a message of 1 + 2.
expect "framed" "$(printf '\x09\0\0\0{"size":}\x0a\0\0\0{"size":7}' |
    run $part binary --framed | od -An -tx1 | tr -d ' \n')" \
    "2b00000001$(printf 'size: not JSON: expected a value at byte 8' | od -An -tx1 |
        tr -d ' \n')03000000001007"
expect "cut frame" "$(printf '\x09\0\0\0{' | run $part binary --framed; echo $?)" \
    $'transcode: the input ends inside a message\n1'
expect "no message" "$(run --message no.Such --to json < /dev/null; echo $?)" \
    $'transcode: the descriptor set has no message "no.Such"\n1'
expect "no set" "$("$tool" --descriptor-set /nonexistent --message x --to json 2>&1; echo $?)" \
    $'transcode: /nonexistent: No such file or directory\n1'
[ $failures = 0 ]
