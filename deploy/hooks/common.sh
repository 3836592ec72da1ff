# shellcheck shell=sh
# What the hooks beside this file share. docs/member-hooks.md says what a hook must do.

# shellcheck disable=SC2034  # the hooks use both
RUNS=0
DOES_NOT_RUN=7

# fail TEXT: the last line on standard error is what people read.
fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# require_plain PATH: it stands in JSON, and in patterns.
require_plain() {
    case $1 in
    /) fail "the data directory is /" ;;
    /*) ;;
    *) fail "'$1' is no absolute path" ;;
    esac
    case $1 in
    *[\"\\]*) fail "'$1' has a quote or a backslash; rename it" ;;
    esac
}

# answer PID VERSION DATA_DIR [STARTING]: what `status` writes; an empty PID is left out. STARTING is true where no process
# runs, and something will start one on DATA_DIR.
answer() {
    printf '{%s"starting": %s, "version": "%s", "data_dir": "%s"}\n' "${1:+\"pid\": $1, }" "${4:-false}" "$2" "$3"
}

# etcd_on DATA_DIR: process ID of the etcd that runs on it, by the kernel's own list; no file with a number is believed.
# It needs the node's process namespace.
etcd_on() {
    for process in /proc/[0-9]*; do
        { read -r name <"$process/comm"; } 2>/dev/null || continue
        [ "$name" = etcd ] || continue
        if { tr '\0' '\n' <"$process/cmdline"; } 2>/dev/null | has_data_dir "$1"; then
            printf '%s\n' "${process#/proc/}"
            return 0
        fi
    done
    return 1
}

# has_data_dir DATA_DIR: a command line, whose words stand one on a line, names this one.
has_data_dir() {
    [ "$(named_data_dir)" = "$1" ]
}

# named_data_dir: the data directory that such a command line names; empty where it names none. etcd goes by the last
# one, and one hyphen is as good as two.
named_data_dir() {
    awk '
        sub(/^--?data-dir=/, "") { named = $0; last = ""; next }
        last ~ /^--?data-dir$/ { named = $0 }
        { last = $0 }
        END { sub(/\/+$/, "", named); print named }
    '
}

# require_same NAMED DATA_DIR WHAT: WHAT names a data directory or none, and no other one than DATA_DIR. Where that stands
# in a file, or is a relative path, only the process itself tells: the worker looks at what it has open.
require_same() {
    case $1 in
    *[$%]*) return 0 ;;
    esac
    [ "$(readlink -m -- "$1")" != "$(readlink -m -- "$2")" ] || return 0 # through a link, too
    case $1 in
    /*) fail "$3 starts etcd on $1, not on $2; correct that, or data_dir in the worker's configuration" ;;
    esac
}

# version_of BINARY: as it says itself; empty where it says nothing.
version_of() {
    "$1" --version 2>/dev/null | sed -n 's/^etcd Version: *\([0-9A-Za-z.+-]*\).*/\1/p' | head -n 1
}

# require_join: what etcd joins with is there. The worker has checked the values.
require_join() {
    for value in "${ETCD_NAME:-}" "${ETCD_INITIAL_CLUSTER:-}" "${ETCD_INITIAL_ADVERTISE_PEER_URLS:-}"; do
        [ -n "$value" ] || fail "start needs ETCD_NAME, ETCD_INITIAL_CLUSTER and ETCD_INITIAL_ADVERTISE_PEER_URLS"
    done
    [ "${ETCD_INITIAL_CLUSTER_STATE:-}" = existing ] || fail "start needs ETCD_INITIAL_CLUSTER_STATE=existing"
}

# archive: a rename within one folder. The worker has read whose data it is.
archive() {
    from=${HANDOFF_ARCHIVE_FROM:-} to=${HANDOFF_ARCHIVE_TO:-}
    [ -n "$from" ] && [ -n "$to" ] || fail "archive needs HANDOFF_ARCHIVE_FROM and HANDOFF_ARCHIVE_TO"
    [ "${from%/*}" = "${to%/*}" ] || fail "'$from' and '$to' are not in one folder"
    if [ -e "$to" ]; then
        [ ! -e "$from" ] || fail "'$to' exists already"
        return 0 # an earlier run has done it
    fi
    mv -- "$from" "$to"
}
