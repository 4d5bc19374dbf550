# Runs a command and stops it when our stdin closes, which happens whatever way the supervising process ends.
# usage: sh -c "$(cat lifeline.sh)" lifeline SIGNAL GRACE_SECONDS COMMAND [ARGUMENT...]; fd 3 gets the command's pid.
signal=$1
grace=$2
shift 2

exec 4<&0
"$@" </dev/null 3>&- 4<&- &
child=$!
echo "$child" >&3
exec 3>&-

(
  trap '' INT HUP
  # A builtin, so that killing this subshell leaves no process behind.
  while read -r _ <&4; do :; done
  kill -s "$signal" "$child" 2>/dev/null
  # A suspended program does not see the signal before it goes on.
  kill -s CONT "$child" 2>/dev/null
  tenths=$((grace * 10))
  while [ "$tenths" -gt 0 ] && kill -0 "$child" 2>/dev/null; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  kill -s KILL "$child" 2>/dev/null
) >/dev/null 2>&1 &
watcher=$!
exec 4<&-

trap 'kill -s "$signal" "$child" 2>/dev/null' TERM INT HUP
# wait also returns when a trapped signal arrives: only the child's end counts.
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || break
done
kill -s KILL "$watcher" 2>/dev/null
exit "$code"
