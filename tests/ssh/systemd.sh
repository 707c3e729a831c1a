#!/bin/sh
# Stands in for systemd on the bed's hosts, which have none: what a trial asks of `systemctl` and `journalctl`, done
# in its way as far as one service with `ExecStart=` and `Restart=` goes, drop-ins in /run included, and read again
# only by `daemon-reload`. It gives a service no control group, obeys no other line of its file, and reads
# `Environment=` not at all. What it does is what its manual says of systemd; a real one is another matter. Services
# are children of `systemctl serve`, which must run, and of nobody who calls it.
set -eu
state=/run/stand-in
mkdir -p /run/systemd/system "$state"

# Writes a file at once, so that nobody reads half of it.
put() {
    echo "$2" > "$state/.$1.$$"
    mv "$state/.$1.$$" "$state/$1"
}

# How a service is run, in the background, until it ends and is not started again.
keep() {
    unit=$1
    while :; do
        put "$unit.invocation" "$(tr -d - < /proc/sys/kernel/random/uuid)"
        # shellcheck disable=SC2046
        setsid $(cat "$state/$unit.exec") >> "$state/$unit.log" 2>&1 &
        put "$unit.main" $!
        put "$unit.active" active
        code=0
        wait $! || code=$?
        if [ "$code" -gt 128 ]; then ended="2 $((code - 128))"; else ended="1 $code"; fi
        put "$unit.ended" "$ended"
        put "$unit.main" 0
        if [ -e "$state/$unit.stopping" ] || [ "$code" = 0 ]; then put "$unit.active" inactive; break; fi
        if [ "$(cat "$state/$unit.restart")" = no ]; then put "$unit.active" failed; break; fi
        echo "$unit: started again" >> "$state/$unit.log"
    done
    rm -f "$state/$unit.stopping"
}

read_files() {
    for file in /etc/systemd/system/*.service; do
        unit=${file##*/}
        restart=no
        for part in "$file" "/run/systemd/system/$unit.d"/*.conf; do
            [ -e "$part" ] || continue
            said=$(sed -n 's/^Restart=//p' "$part" | tail -n 1)
            restart=${said:-$restart}
        done
        put "$unit.exec" "$(sed -n 's/^ExecStart=//p' "$file")"
        put "$unit.restart" "$restart"
    done
}

of() { cat "$state/$unit.$1" 2>/dev/null || echo "$2"; }

show() {
    if [ ! -e "$state/$unit.exec" ]; then
        printf 'LoadState=not-found\nActiveState=inactive\nMainPID=0\n'
        return
    fi
    ended=$(of ended "0 0")
    echo "LoadState=loaded"
    echo "ActiveState=$(of active inactive)"
    echo "MainPID=$(of main 0)"
    echo "ControlGroup="
    echo "InvocationID=$(of invocation "")"
    echo "ExecMainCode=${ended% *}"
    echo "ExecMainStatus=${ended#* }"
    echo "Restart=$(of restart no)"
    echo "TriggeredBy=$(of triggers "")"
}

is_up() { case "$(of active inactive)" in active | activating) ;; *) return 1 ;; esac; }

serve() {
    read_files
    echo $$ > "$state/serve.pid"
    mkfifo "$state/requests"
    exec 3<> "$state/requests"
    while read -r unit <&3; do keep "$unit" & done
}

systemctl() {
    verb=$1
    shift
    for unit in "$@"; do :; done
    case "$verb" in
        --version) echo "stand-in of the test bed" ;;
        daemon-reload) read_files ;;
        show) show ;;
        start)
            [ -e "$state/$unit.exec" ] || { echo "Unit $unit not found." >&2; exit 5; }
            is_up || { put "$unit.active" activating; echo "$unit" > "$state/requests"; }
            ;;
        stop)
            if is_up; then
                : > "$state/$unit.stopping"
                main=$(of main 0)
                [ "$main" = 0 ] || kill -- "$main"
                case " $* " in *" --no-block "*) return ;; esac
                while is_up; do sleep 0.02; done
            fi
            ;;
        reset-failed) [ "$(of active inactive)" != failed ] || put "$unit.active" inactive ;;
        is-active) exit 3 ;;
        *) echo "Unknown command verb $verb." >&2; exit 1 ;;
    esac
}

# The journal's cursor is the number of lines that the only service has said.
journalctl() {
    after=0 unit=""
    while [ $# -gt 0 ]; do
        case "$1" in
            --show-cursor) echo "-- cursor: $(cat "$state"/*.log 2>/dev/null | wc -l)"; return ;;
            --after-cursor=*) after=${1#*=} ;;
            -u) unit=$2; shift ;;
        esac
        shift
    done
    tail -n "+$((after + 1))" "$state/$unit.log"
}

case "$0" in
    */journalctl) journalctl "$@" ;;
    *) if [ "${1:-}" = serve ]; then serve; else systemctl "$@"; fi ;;
esac
