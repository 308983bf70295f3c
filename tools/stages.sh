# shellcheck shell=bash
# Stages: parts of a test whose time and counts stand in a table at its end.

# begin_stages NAME: of the whole, whose table is printed when ./dev ends, however it ends.
begin_stages() {
    stages=$PWD/target/stages/$1
    rm -rf "$stages"
    mkdir -p "$stages"
    trap report_stages EXIT
}

# stage NAME COMMAND ARGUMENTS: runs it, and keeps what it prints and takes. Where it fails, so does the whole.
stage() {
    local name=$1 log=$stages/$1.log TIMEFORMAT='%R %U %S'
    say "$name"
    echo "$name - - -" >>"$stages/times"
    { time "${@:2}" 2>&1 | tee "$log" >&3; } 3>&1 2>"$stages/time"
    sed -i '$d' "$stages/times"
    echo "$name $(tail -n 1 "$stages/time")" >>"$stages/times"
}

# What the log of a stage counts: tests by their runners' words, lines such as "conformance: 709 shapes", and what was not
# tested.
counts_of() {
    awk '
        /^test result: ok\. [0-9]+ passed/ { rust += $4 }
        /^100% tests passed, 0 tests failed out of [0-9]+/ { c += $NF }
        /^Ran [0-9]+ tests? in/ { python += $2 }
        open { line = line $0; open = 0; other[++others] = line; next }
        /NOT (TESTED|CHECKED)/ { if (!seen[$0]++) other[++others] = $0; next }
        /^[A-Za-z][A-Za-z_ ]*: [^:]*[0-9]/ && !/^(error|warning|note|instructions|test result|Testing)/ {
            line = $0
            open = /:$/
            if (!open && !seen[line]++) other[++others] = line
        }
        END {
            if (rust) printf "%d Rust tests  ", rust
            if (c) printf "%d C tests  ", c
            if (python) printf "%d Python tests", python
            print ""
            for (at = 1; at <= others; at++) print other[at]
        }
    ' "$1"
}

# report_stages: the table, and below it what the stages counted.
report_stages() {
    local name wall user system
    [ -s "$stages/times" ] || return 0
    printf '\n%-14s %8s %8s   %s\n' stage minutes of\ CPU tests
    while read -r name wall user system; do
        if [ "$wall" = - ]; then
            printf '%-14s %8s\n' "$name" FAILED
        else
            printf '%-14s %8s %8s   %s\n' "$name" "$(minutes "$wall")" "$(minutes "$user" "$system")" \
                "$(counts_of "$stages/$name.log" | head -n 1)"
        fi
    done <"$stages/times"
    printf '%-14s %8s %8s\n\n' all "$(column 2)" "$(column 3 4)"
    while read -r name wall _; do
        [ "$wall" = - ] || counts_of "$stages/$name.log" | tail -n +2 | sed "s/^/  $name | /"
    done <"$stages/times"
}

# minutes SECONDS ...: their sum.
minutes() {
    awk 'BEGIN { for (at = 1; at < ARGC; at++) sum += ARGV[at]; printf "%.1f", sum / 60 }' "$@"
}

# column NUMBER ...: the minutes of these columns of all stages.
column() {
    local numbers
    numbers=$(IFS=, && echo "$*")
    # shellcheck disable=SC2046 # Numbers.
    minutes $(grep -v ' - ' "$stages/times" | tr ' ' '\t' | cut -f "$numbers")
}
