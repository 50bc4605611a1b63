#!/bin/bash
# Runs a test program so that each of its cmocka cases is a case of the test.xml that Bazel keeps.
# Bazel puts it before every test program (--run_under in .bazelrc); other programs pass unharmed.
set -u
if [ -z "${XML_OUTPUT_FILE:-}" ]; then
    exec "$@"
fi
cases=$(mktemp -d "${TEST_TMPDIR:-/tmp}/cases.XXXXXX")
# One file a group: cmocka does not append.
CMOCKA_MESSAGE_OUTPUT=XML CMOCKA_XML_FILE=$cases/%g.xml "$@"
status=$?

if compgen -G "$cases/*.xml" >/dev/null; then
    {
        echo '<?xml version="1.0" encoding="UTF-8" ?>'
        echo '<testsuites>'
        grep -hvE '^ *(<\?xml|</?testsuites>)' "$cases"/*.xml
        echo '</testsuites>'
    } >"$XML_OUTPUT_FILE"
    if [ "$status" -ne 0 ]; then
        # What failed belongs into the log too.
        grep -h -B1 -A8 '<failure>' "$cases"/*.xml
    fi
fi
rm -rf "$cases"
exit "$status"
