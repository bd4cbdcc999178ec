#!/bin/bash
# As the original's: qfill.sh N TEXT submits until N jobs wait. Each text gets a line of its own, since the spool
# folder knows a job by the hash of its text.
here=$(dirname "$0")
waiting=$("$here/condor_q" -constraint 'JobStatus==1' | wc -l) || exit 1
for ((n = waiting; n < $1; n++)); do
    { cat "$2"; echo "# $n $RANDOM $(date +%N)"; } | "$here/condor_submit"
done
