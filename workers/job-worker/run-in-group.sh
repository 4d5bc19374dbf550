# Runs a command in this shell's process group and stops the whole group when our stdin closes, however the worker ends.
# usage: sh -c "$(cat run-in-group.sh)" run-in-group GRACE_SECONDS COMMAND [ARGUMENT...], as the leader of a process group
grace=$1
shift

exec 4<&0
"$@" </dev/null 4<&- &
child=$!
# From here on, so that the command itself can be asked to stop.
trap '' TERM INT HUP

(
  # A builtin, so that nothing stays behind.
  while read -r _ <&4; do :; done
  kill -s TERM 0
  tenths=$((grace * 10))
  while [ "$tenths" -gt 0 ] && kill -0 "$child" 2>/dev/null; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  # Also what the command started and left behind.
  kill -s KILL 0
) >/dev/null 2>&1 &
watcher=$!
exec 4<&-

wait "$child"
code=$?
kill -s KILL "$watcher" 2>/dev/null
exit "$code"
