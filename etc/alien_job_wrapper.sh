#!/bin/bash
# A job wrapper (alien_work_queue --job-wrapper): runs the job in a minimal environment that keeps the variables ALIEN_*,
# and through Parrot when ALIEN_USE_PARROT=1 and CVMFS is not mounted. The job keeps the process id of the wrapper.
set -eu

environment=(PATH=/bin:/usr/bin "HOME=${HOME:-}" "USER=${USER:-}" LANGUAGE=C)
for name in LANG LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME; do
    environment+=("$name=C")
done
# Values may have several lines.
while IFS= read -r -d '' variable; do
    [[ $variable != ALIEN_* ]] || environment+=("$variable")
done < <(env -0)

through=()
# Looking into the folder mounts it, where autofs does that.
if [[ ${ALIEN_USE_PARROT:-} = 1 ]] && ! ls /cvmfs/alice.cern.ch > /dev/null 2>&1; then
    if parrot_run -v > /dev/null 2>&1; then
        echo "NOTE: using Parrot for CVMFS"
        through=(parrot_run)
    else
        echo "NOTE: Parrot not found, not using it"
    fi
fi
exec "${through[@]}" env -i "${environment[@]}" "$@"
