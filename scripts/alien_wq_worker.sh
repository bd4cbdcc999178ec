#!/bin/bash
# Starts, counts, drains and stops the foremen and workers of one user on one machine.
#
# Each foreman and each worker has a slot: a number, a folder of its own, and a keeper, which is this script in the
# background that starts work_queue_worker again whenever it has ended. Processes are known by pid files that hold
# their start time as well; nothing else is ever sent a signal, and no folder but those of slots is ever removed.
# All of it is in one file, so that an execute node needs no other.
set -u

me=alien_wq_worker.sh

usage() {
    cat <<'END'
usage: alien_wq_worker.sh COMMAND

  start-foremen   start WQ_NUM_FOREMEN foremen in the background, as far as they do not run
  stop-foremen    stop them now, with what they run
  count-foremen   print how many run
  start-workers   the same for workers
  stop-workers
  count-workers
  drain           let workers and foremen end when their current work is done (makes WQ_DRAIN)
  workers         keep one worker running, in the foreground
  foremen N       keep foreman N (from 0) running, in the foreground

Variables, with their defaults:
  WQ_MASTER           127.0.0.1:9094     the master that foremen connect to, HOST:PORT
  WQ_FOREMEN          127.0.0.1          the host that workers connect to
  WQ_NUM_FOREMEN      2                  number of foremen
  WQ_MASTER_BASEPORT  9080               port of foreman 0; the others have the following ones
  WQ_NUM_WORKERS      processors of this machine, divided by WQ_CORES
  WQ_CORES            1                  cores of each worker; `all` for the whole machine
  WQ_WORKDIR          ~/.alien_wq_tmp    folder for temporary files and pid files; made when missing
  WQ_DRAIN            ~/.alien_wq_drain  while it exists (file or folder), nothing is started again
  WQ_IDLETIMEOUT      100                seconds without a job after which a worker looks for another foreman
  WQ_SINGLETASK       0                  1: a worker runs one job and is not started again
  WQ_NORESPAWN        0                  1: what has ended is not started again
  WQ_PASSWORD_FILE                       file with the password of the master
  WQ_DEBUG                               1: work_queue_worker says all it does (file debug in the slot's folder)
END
}

say() { echo "$me: $1" >&2; }

# refuse WHAT REMEDY: the end of this script.
refuse() {
    say "$1
remedy: $2"
    exit 1
}

# A run that lasted this long was a good one: the next begins at once.
good_run_s=30
# Longest pause before a start that follows bad runs; the first one is a second.
pause_max_s=30
# What work_queue_worker gets to end its jobs after SIGTERM, before SIGKILL.
end_patience_s=10
# In a drain, a job younger than this may be given back.
young_s=3
# What a process gets to run, and a foreman to listen.
start_patience_s=30
# A log longer than this begins anew at the next start.
log_max_bytes=1000000

### Settings

settings() {
    [[ -n ${WQ_WORKDIR:-} || -n ${HOME:-} ]] || refuse "neither WQ_WORKDIR nor HOME is set" \
        "set WQ_WORKDIR to a folder of your own"
    [[ -n ${WQ_DRAIN:-} || -n ${HOME:-} ]] || refuse "neither WQ_DRAIN nor HOME is set" \
        "set WQ_DRAIN to the name of a file"
    master=${WQ_MASTER:-127.0.0.1:9094}
    foremen_host=${WQ_FOREMEN:-127.0.0.1}
    num_foremen=${WQ_NUM_FOREMEN:-2}
    base_port=${WQ_MASTER_BASEPORT:-9080}
    cores=${WQ_CORES:-1}
    # Without symlinks, as the system names the folders in which processes work.
    workdir=$(readlink -m -- "${WQ_WORKDIR:-${HOME:-}/.alien_wq_tmp}")
    drain_flag=$(absolute "${WQ_DRAIN:-${HOME:-}/.alien_wq_drain}")
    idle_timeout_s=${WQ_IDLETIMEOUT:-100}
    single_task=${WQ_SINGLETASK:-0}
    no_respawn=${WQ_NORESPAWN:-0}
    debug=${WQ_DEBUG:-0}
    password_file=${WQ_PASSWORD_FILE:+$(absolute "$WQ_PASSWORD_FILE")}
    # The same home may be mounted on many machines, and after a reboot the same numbers mean other processes.
    IFS= read -r host < /proc/sys/kernel/hostname
    IFS= read -r boot < /proc/sys/kernel/random/boot_id
    pids=$workdir/pids/$host
    [[ $debug != 1 ]] || set -x
}

absolute() {
    case $1 in
        /*) printf '%s' "$1" ;;
        *) printf '%s' "$PWD/$1" ;;
    esac
}

# is_number VALUE MIN MAX
is_number() { [[ $1 =~ ^(0|[1-9][0-9]{0,8})$ && $1 -ge $2 && $1 -le $3 ]]; }

# check_number NAME VALUE MIN MAX
check_number() {
    is_number "$2" "$3" "$4" || refuse "$1 is '$2', which is no number from $3 to $4" \
        "set $1 to such a number, or unset it for the default"
}

# Everything that can be wrong before anything is started.
check_settings() {
    local name program complaint
    for name in WQ_SINGLETASK WQ_NORESPAWN; do
        check_number "$name" "${!name:-0}" 0 1
    done
    check_number WQ_NUM_FOREMEN "$num_foremen" 1 10000
    check_number WQ_MASTER_BASEPORT "$base_port" 1 65535
    [[ $((base_port + num_foremen - 1)) -le 65535 ]] ||
        refuse "$num_foremen foremen from port $base_port on would need ports beyond 65535" \
            "set a smaller WQ_MASTER_BASEPORT or WQ_NUM_FOREMEN"
    case $service in
        foremen) check_master ;;
        workers) check_workers ;;
    esac
    [[ -z $password_file || -r $password_file ]] ||
        refuse "the password file $password_file (WQ_PASSWORD_FILE) cannot be read" \
            "copy the master's password file to this machine, readable for you alone"
    [[ ! -e $workdir || -O $workdir ]] ||
        refuse "the folder $workdir (WQ_WORKDIR) belongs to another user" "set WQ_WORKDIR to a folder of your own"
    complaint=$(umask 077 && mkdir -p "$workdir" 2>&1)
    [[ -d $workdir && -w $workdir && -x $workdir ]] ||
        refuse "the folder $workdir (WQ_WORKDIR) cannot be written${complaint:+: ${complaint##*: }}" \
            "set WQ_WORKDIR to a folder in which you can write"
    for program in setsid flock find ps awk getent; do
        command -v "$program" > /dev/null ||
            refuse "the program $program is not on PATH" "install it (packages util-linux, findutils, procps, mawk, libc-bin)"
    done
    command -v work_queue_worker > /dev/null ||
        refuse "work_queue_worker is not on PATH" \
            "source PREFIX/etc/env.sh of the installation; without CCTools install them first (Debian: coop-computing-tools)"
    # Its help goes to either stream, and some releases end with 1 after it.
    complaint=$(work_queue_worker --help 2>&1) || [[ $complaint = *--workdir* ]] ||
        refuse "$(command -v work_queue_worker) does not start: ${complaint%%$'\n'*}" \
            "try 'work_queue_worker --help'; LD_LIBRARY_PATH may lack CCTools' libraries, which PREFIX/etc/env.sh adds"
    [[ $single_task = 0 || $complaint = *--single-task* ]] ||
        refuse "this work_queue_worker has no --single-task, which WQ_SINGLETASK=1 needs" \
            "unset WQ_SINGLETASK; WQ_NORESPAWN=1 runs each worker until it is idle for WQ_IDLETIMEOUT"
}

check_master() {
    master_host=${master%:*}
    master_port=${master##*:}
    # An IPv6 address has colons of its own and stands in brackets.
    if [[ $master_host = \[*\] ]]; then
        master_host=${master_host:1:-1}
    elif [[ $master_host = *:* ]]; then
        refuse "WQ_MASTER is '$master': an IPv6 address without brackets" "write WQ_MASTER=[ADDRESS]:PORT"
    fi
    if [[ $master != *:* || -z $master_host ]] || ! is_number "$master_port" 1 65535; then
        refuse "WQ_MASTER is '$master', which is not HOST:PORT" \
            "name the master's port too, for example WQ_MASTER=${master_host:-127.0.0.1}:9094"
    fi
}

check_workers() {
    local processors
    [[ $cores = all ]] || check_number WQ_CORES "$cores" 1 100000
    check_number WQ_IDLETIMEOUT "$idle_timeout_s" 1 100000000
    processors=$(getconf _NPROCESSORS_ONLN)
    if [[ $cores = all ]]; then
        num_workers=1
    else
        num_workers=$((processors / cores > 0 ? processors / cores : 1))
    fi
    num_workers=${WQ_NUM_WORKERS:-$num_workers}
    check_number WQ_NUM_WORKERS "$num_workers" 0 100000
}

### Time

# clock: sets now_s, in seconds since the machine was started; the wall clock may jump.
clock() {
    read -r now_s _ < /proc/uptime
    now_s=${now_s%.*}
}

# within SECONDS COMMAND...: until the command succeeds. Fails when the time is over.
within() {
    local end_s
    clock
    end_s=$((now_s + $1))
    shift
    until "$@"; do
        clock
        [[ $now_s -lt $end_s ]] || return 1
        sleep 0.1
    done
}

### Processes and their pid files

# identify PID: sets `identity` to what no other process ever has. Fails when it has ended (a zombie has).
identify() {
    local stat='' fields
    identity=
    [[ $1 =~ ^[0-9]+$ ]] || return 1
    { IFS= read -r -d '' stat < "/proc/$1/stat"; } 2> /dev/null
    # The second field, in parentheses, may hold anything; the first one after it is the third.
    read -ra fields <<< "${stat##*) }"
    [[ ${#fields[@]} -ge 20 && ${fields[0]} != [ZX] ]] || return 1
    identity="$1 ${fields[19]} $boot"
}

# is_running IDENTITY
is_running() { [[ -n $1 ]] && identify "${1%% *}" && [[ $identity = "$1" ]]; }

has_ended() { ! is_running "$1"; }

# recorded FILE: sets `record` to the identity in a pid file, if that process runs.
recorded() {
    record=
    { IFS= read -r record < "$1"; } 2> /dev/null
    is_running "$record" || record=
    [[ -n $record ]]
}

# write_record FILE PID
write_record() {
    identify "$2" || return 1
    echo "$identity" > "$1.new" && mv -f "$1.new" "$1"
}

signal() { kill "-$1" "${2%% *}" 2> /dev/null; }

# offspring PID...: prints the process ids of all descendants.
offspring() {
    local wanted=" $* " line pid parent grew=yes
    local -a lines
    mapfile -t lines < <(ps -e -o pid=,ppid=)
    while [[ $grew = yes ]]; do
        grew=no
        for line in "${lines[@]}"; do
            read -r pid parent <<< "$line"
            if [[ $wanted = *" $parent "* && $wanted != *" $pid "* ]]; then
                wanted+="$pid "
                echo "$pid"
                grew=yes
            fi
        done
    done
}

# end_now IDENTITY: SIGKILL to a process and all that it had started; stopped first, so that it starts no more.
end_now() {
    local pid
    signal STOP "$1"
    for pid in $(offspring "${1%% *}"); do
        signal KILL "$pid"
    done
    signal KILL "$1"
}

# in_folder FOLDER: prints the process ids of those who work in it, however they were started.
in_folder() {
    local process place
    while read -r process place; do
        [[ $place/ != "$1"/* ]] || echo "${process##*/}"
    done < <(find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -printf '%h %l\n' 2> /dev/null)
}

### Slots: SERVICE.NUMBER, the keeper's pid file .keeper beside that of what it keeps

# slots SERVICE: prints the slots that have a file here.
slots() {
    local file
    for file in "$pids/$1".*; do
        [[ -e $file ]] || continue
        file=${file##*/}
        file=${file#"$1".}
        echo "$1.${file%%.*}"
    done | sort -u
}

slot_runs() { recorded "$pids/$1.keeper" || recorded "$pids/$1"; }

slot_folder() { echo "$workdir/$host/$1"; }

# take_lock: who changes slots, or decides by them, does so alone.
take_lock() {
    if ! { (umask 077 && mkdir -p "$pids") && [[ -w $pids ]]; } 2> /dev/null; then
        refuse "no pid files can be written in $pids" "set WQ_WORKDIR to a folder in which you can write"
    fi
    within 120 try_lock || refuse "another $me holds $pids/lock for two minutes" "look what it does (ps), then try again"
}

# try_lock: for a second. A stop removes the file, so it is looked at again once it is ours.
try_lock() {
    { (umask 077 && mkdir -p "$pids") && exec {lock}>> "$pids/lock"; } 2> /dev/null || return 1
    flock -w 1 "$lock" && [[ "$pids/lock" -ef /proc/self/fd/$lock ]] && return
    exec {lock}>&-
    return 1
}

drop_lock() { exec {lock}>&-; }

# claim SERVICE [NUMBER]: makes a slot ours; sets slot and number. Without a number the lowest free one.
claim() {
    take_lock
    number=${2:-}
    if [[ -n $number ]]; then
        if slot_runs "$1.$number"; then
            drop_lock
            refuse "number $number of the $1 runs already (process ${record%% *})" \
                "stop it first with 'stop-$1', or choose another number"
        fi
    else
        number=0
        while slot_runs "$1.$number"; do
            number=$((number + 1))
        done
    fi
    slot=$1.$number
    folder=$(slot_folder "$slot")
    # Whatever a crash may have left.
    [[ ! -e $folder && ! -e $pids/$slot.keeper ]] || sweep "$slot"
    if ! { make_folders && write_record "$pids/$slot.keeper" $$; }; then
        refuse "cannot make the folders of $slot below $workdir" "make room there, or set WQ_WORKDIR to another folder"
    fi
    drop_lock
}

# make_folders: the folder of a slot, and workspace, where work_queue_worker may work: it tries a program there through an
# unquoted shell command, so blanks and the like lead to a folder elsewhere, which a link in the slot's folder remembers.
make_folders() {
    local mask
    mask=$(umask)
    umask 077
    workspace=$folder
    if ! mkdir -p "$folder"; then
        workspace=
    elif [[ $folder = *[^A-Za-z0-9/._+,:=@%-]* ]]; then
        workspace=$(mktemp -d "${TMPDIR:-/tmp}/alien_wq.XXXXXXXX") && ln -s "$workspace" "$folder/workspace" || workspace=
    fi
    umask "$mask"
    [[ -n $workspace ]]
}

# remove FOLDER: with what works in it, however it was started.
remove() {
    local pid
    for pid in $(in_folder "$1"); do
        [[ $pid = "$$" ]] || signal KILL "$pid"
    done
    rm -rf "$1" 2> /dev/null && return
    # A job may have closed a folder to its owner.
    chmod -R u+rwX "$1" 2> /dev/null
    rm -rf "$1"
}

# sweep SLOT: ends what still works for it, and removes its folders and its pid files.
sweep() {
    local folder elsewhere
    folder=$(slot_folder "$1")
    recorded "$pids/$1" && end_now "$record"
    if elsewhere=$(readlink "$folder/workspace") && [[ $elsewhere = */alien_wq.* && -d $elsewhere && -O $elsewhere ]]; then
        remove "$elsewhere"
    fi
    remove "$folder"
    rm -f "$pids/$1" "$pids/$1.keeper" "$pids/$1.new" "$pids/$1.keeper.new"
}

### The keeper

# port_is STATE PORT: whether a TCP connection of this machine with that local port is in this state (0A: listening, 01:
# established).
port_is() {
    local port
    printf -v port '%04X' "$2"
    grep -Eqs "^ *[0-9]+: [0-9A-F]+:$port [0-9A-F]+:[0-9A-F]+ $1 " /proc/net/tcp /proc/net/tcp6
}

# check_port NUMBER: that of a foreman must be free.
check_port() {
    local port=$((base_port + $1))
    ! port_is 0A "$port" ||
        refuse "foreman $1 is to listen on port $port, but something listens there already" \
            "stop that, or set WQ_MASTER_BASEPORT to the first of $num_foremen free ports"
}

# The command line of what is kept, chosen anew at each start: another foreman may be there or have room.
compose() {
    command=(work_queue_worker --workdir "$workspace")
    [[ -z $password_file ]] || command+=(--password "$password_file")
    [[ $debug != 1 ]] || command+=(--debug all)
    # A file that does not grow for ever: it is changed at 10 MB.
    [[ $debug != 1 || -z $in_background ]] || command+=(--debug-file "$folder/debug")
    case $service in
        foremen) command+=(--foreman --foreman-port $((base_port + number)) "$master_host" "$master_port") ;;
        workers)
            # 0 lets the worker count for itself.
            command+=(--cores "${cores/#all/0}")
            [[ $single_task != 1 ]] || command+=(--single-task)
            command+=(--single-shot --idle-timeout="$idle_timeout_s" "$foremen_host" $((base_port + RANDOM % num_foremen)))
            ;;
    esac
}

# nap SECONDS: ends early when the child ends or a signal comes.
nap() {
    sleep "$1" &
    sleeper=$!
    wait -n ${child:+"$child"} "$sleeper"
    kill "$sleeper" 2> /dev/null
    wait "$sleeper" 2> /dev/null
    sleeper=
}

# end_child: SIGTERM, with patience, then SIGKILL to it and all that it had started.
end_child() {
    local family=() pid
    for pid in $(offspring "$child"); do
        identify "$pid" && family+=("$identity")
    done
    signal TERM "$child_identity"
    within "$end_patience_s" has_ended "$child_identity" || end_now "$child_identity"
    for pid in "${family[@]}"; do
        has_ended "$pid" || signal KILL "$pid"
    done
}

# is_sending PID: whether bytes wait in one of its connections.
is_sending() {
    local inodes
    inodes=$(find "/proc/$1/fd" -lname 'socket:*' -printf '%l ' 2> /dev/null)
    awk -v inodes="$inodes" 'index(inodes, "[" $10 "]") && $5 !~ /^0+:/ { found = 1 } END { exit !found }' /proc/net/tcp*
}

# drained: whether the time has come to end the child. Jobs that ran when the drain began are left to end, and so is
# every other one that has run for a while; one that has just come goes back to the queue, since nothing tells a master
# not to send more.
drained() {
    local pid start busy=no young=no
    looks=$((looks + 1))
    if [[ $service = foremen ]]; then
        # It has work as long as it has workers.
        port_is 01 $((base_port + number)) && busy=yes
    else
        for pid in $(ps -o pid= --ppid "$child"); do
            identify "$pid" || continue
            read -r _ start _ <<< "$identity"
            if [[ -n ${known[$identity]:-} || $looks -eq 1 || $(ticks_now) -gt $((start + young_s * ticks_a_second)) ]]; then
                known[$identity]=yes
                busy=yes
            else
                young=yes
            fi
        done
        [[ $busy$young != noyes ]] || return 0
        # Its last result may still be on its way.
        is_sending "$child" && busy=yes
    fi
    if [[ $busy = yes ]]; then
        quiet_looks=0
    else
        quiet_looks=$((quiet_looks + 1))
    fi
    [[ $quiet_looks -gt 4 ]]
}

# Clock ticks since the machine was started, the unit of start times in /proc.
ticks_now() {
    local up
    read -r up _ < /proc/uptime
    echo $((10#${up/./} * ticks_a_second / 100))
}

# keep: runs the service in this slot until it is stopped, drained, or not to be started again.
keep() {
    local pause_s=1 begin_s ran_s was_drained code
    local -A known
    ticks_a_second=$(getconf CLK_TCK)
    while :; do
        compose
        clock
        begin_s=$now_s
        known=()
        looks=0
        quiet_looks=0
        [[ ! -s $folder/log || $(stat -c %s "$folder/log") -lt $log_max_bytes ]] || : > "$folder/log"
        if [[ $debug = 1 && -z $in_background ]]; then
            "${command[@]}" < /dev/null &
        else
            "${command[@]}" < /dev/null >> "$folder/log" 2>&1 &
        fi
        child=$!
        identify "$child"
        child_identity=$identity
        write_record "$pids/$slot" "$child"
        was_drained=no
        while is_running "$child_identity"; do
            [[ -z $stopping ]] || { end_child; break; }
            if [[ -e $drain_flag ]]; then
                [[ $looks -gt 0 ]] || say "$slot ends when its current work is done"
                if drained; then
                    was_drained=yes
                    # A start that comes now shall wait for the next one.
                    rm -f "$pids/$slot"
                    end_child
                    break
                fi
                nap 0.5
            else
                looks=0
                nap 5
            fi
        done
        wait "$child"
        code=$?
        child=
        rm -f "$pids/$slot"
        [[ -z $stopping && $single_task$no_respawn = 00 ]] || break
        [[ ! -e $drain_flag ]] || ! leave || break
        clock
        ran_s=$((now_s - begin_s))
        if [[ $was_drained = yes || $ran_s -ge $good_run_s ]]; then
            pause_s=1
            continue
        fi
        say "$slot ended with $code after $ran_s s; the next start is in $pause_s s"
        # Not all at once, when many have lost the same foreman.
        nap "$pause_s.$((RANDOM % 10))"
        [[ -z $stopping ]] || break
        pause_s=$((pause_s * 2 < pause_max_s ? pause_s * 2 : pause_max_s))
    done
}

# leave: gives the slot up in a drain. Fails when a start has ended the drain meanwhile, which counts on this keeper then.
leave() {
    until try_lock; do
        [[ -z $stopping ]] || return 0
    done
    if [[ -e $drain_flag ]]; then
        sweep "$slot"
        # From here on the slot may be somebody else's.
        trap - EXIT
        drop_lock
        return 0
    fi
    drop_lock
    return 1
}

# run_keeper [NUMBER]: in the foreground; start-* runs it in the background.
run_keeper() {
    child=
    sleeper=
    stopping=
    in_background=${WQ_IN_BACKGROUND:-}
    unset WQ_IN_BACKGROUND
    trap 'stopping=yes; [[ -z $sleeper ]] || kill "$sleeper" 2> /dev/null' TERM INT HUP
    check_settings
    claim "$service" "$@"
    trap 'sweep "$slot"' EXIT
    [[ $service = workers ]] || check_port "$number"
    # From here on nobody listens any more.
    [[ -z $in_background ]] || exec >> "$folder/log" 2>&1
    keep
}

### The commands

start() {
    local wanted surplus=0 slot number i failed=no
    local -a starters=() numbers=()
    check_settings
    # Seen with 8.0.0: without an address of its own, a worker's greeting holds whatever its memory does.
    getent hosts "$host" > /dev/null ||
        say "warning: this machine's own name, $host, has no address, and CCTools' workers may then be turned away
remedy: add $host to /etc/hosts"
    [[ $service = foremen ]] && wanted=$num_foremen || wanted=$num_workers
    # Until it is known who runs, no keeper leaves: see there.
    take_lock
    remove_drain_flag
    for ((i = 0; i < wanted; i++)); do
        slot_runs "$service.$i" || numbers+=("$i")
    done
    if [[ $service = workers ]]; then
        # More may run already, under higher numbers.
        for slot in $(slots workers); do
            [[ ${slot##*.} -lt $wanted ]] || ! slot_runs "$slot" || surplus=$((surplus + 1))
        done
        numbers=("${numbers[@]:0:${#numbers[@]} > surplus ? ${#numbers[@]} - surplus : 0}")
    else
        for number in "${numbers[@]}"; do
            check_port "$number"
        done
    fi
    drop_lock
    echo "Number of Work Queue $service to start: ${#numbers[@]}" >&2
    for number in "${numbers[@]}"; do
        WQ_IN_BACKGROUND=1 setsid "$BASH" "${BASH_SOURCE[0]}" "$service" "$number" < /dev/null &
        starters[number]=$!
    done
    # Also those that run already: a drain may have been about to end them.
    for ((i = 0; i < wanted; i++)); do
        if [[ -n ${starters[i]:-} ]] || slot_runs "$service.$i"; then
            wait_for_start "$i" "${starters[i]:-}" || failed=yes
        fi
    done
    [[ $failed = no ]] || exit 1
}

# remove_drain_flag: what 'drain' makes, or a file; never a folder with something in it.
remove_drain_flag() {
    local complaint
    [[ -e $drain_flag || -L $drain_flag ]] || return
    if [[ -d $drain_flag && ! -L $drain_flag ]]; then
        complaint=$(rmdir "$drain_flag" 2>&1)
    else
        complaint=$(rm -f "$drain_flag" 2>&1)
    fi || refuse "$drain_flag (WQ_DRAIN) cannot be removed: ${complaint##*: }" \
        "remove it yourself, or set WQ_DRAIN to another name"
}

# has_started NUMBER [KEEPER]: whether the process runs, and listens if it is a foreman; or all hope is lost.
has_started() {
    if recorded "$pids/$service.$1"; then
        [[ $service = workers ]] || port_is 0A $((base_port + $1))
    elif identify "$2" || slot_runs "$service.$1"; then
        # A worker that nobody answers ends at once, and is started again later: that is its keeper's business.
        [[ $service = workers && -s $(slot_folder "$service.$1")/log ]]
    else
        hopeless=yes
    fi
}

# wait_for_start NUMBER [KEEPER]
wait_for_start() {
    local hopeless=no log
    if ! within "$start_patience_s" has_started "$@"; then
        log=$(slot_folder "$service.$1")/log
        say "number $1 of the $service does not run after $start_patience_s s; the end of $log:"
        tail -n 5 "$log" >&2
        return 1
    fi
    [[ $hopeless = no ]] || say "number $1 of the $service did not start"
    [[ $hopeless = no ]]
}

# all_end SLOT...
all_end() {
    local slot
    for slot in "$@"; do
        ! slot_runs "$slot" || return 1
    done
}

stop() {
    local slot
    local -a stopped
    [[ -d $pids ]] || return 0
    [[ -O $pids ]] || refuse "the folder $pids belongs to another user" "set WQ_WORKDIR to a folder of your own"
    take_lock
    mapfile -t stopped < <(slots "$service")
    for slot in "${stopped[@]}"; do
        slot_runs "$slot" && signal TERM "$record"
    done
    # Keepers need a moment longer than what they keep.
    within $((end_patience_s + 10)) all_end "${stopped[@]}"
    for slot in "${stopped[@]}"; do
        recorded "$pids/$slot.keeper" && signal KILL "$record"
        sweep "$slot"
    done
    # Folders that others use stay.
    [[ -n $(compgen -G "$pids/*.*") ]] || rm -f "$pids/lock"
    rmdir --ignore-fail-on-non-empty "$workdir/$host" "$pids" "$workdir/pids" "$workdir" 2> /dev/null
    drop_lock
}

count() {
    local slot running=0
    for slot in $(slots "$service"); do
        recorded "$pids/$slot" && running=$((running + 1))
    done
    echo "$running"
}

drain() {
    local complaint
    [[ -e $drain_flag ]] && return
    complaint=$(mkdir -p "$drain_flag" 2>&1) ||
        refuse "$drain_flag (WQ_DRAIN) cannot be made: ${complaint##*: }" \
            "set WQ_DRAIN to a name in a folder of your own"
}

main() {
    local verb=${1:-}
    case $verb in
        -h | --help) usage; exit 0 ;;
    esac
    settings
    service=${verb#*-}
    case $verb in
        start-foremen | start-workers) start ;;
        stop-foremen | stop-workers) stop ;;
        count-foremen | count-workers) count ;;
        drain) drain ;;
        workers) run_keeper ${2:+"$2"} ;;
        foremen)
            is_number "${2:-}" 0 65535 || refuse "which foreman? 'foremen' needs its number" \
                "type '$me foremen 0', or '$me start-foremen' for all"
            run_keeper "$2"
            ;;
        *)
            say "'$verb' is no command"
            usage >&2
            exit 1
            ;;
    esac
}

main "$@"
