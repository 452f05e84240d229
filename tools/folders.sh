# Where Lares keeps things, for the scripts that source this: the rule of src/app/home.cpp, where a path that does
# not begin with '/' is no answer (XDG Base Directory Specification). Those named lares_ and xdg_ leave their
# answer in REPLY and start no process: ./lares asks on every call. The others find the daemon that uses the folders.

# xdg_folder VARIABLE BELOW-HOME: the variable's folder, or that one in HOME; 1 where there is neither.
xdg_folder() {
  case ${!1-} in /*) REPLY=${!1}; return 0 ;; esac
  case ${HOME-} in /*) REPLY=$HOME/$2; return 0 ;; esac
  REPLY="looking for your folders: neither HOME nor LARES_HOME is set to a path that begins with '/'; set LARES_HOME"
  return 1
}

# lares_folder config|share|cache|run: that folder; 1 where the environment names none, REPLY then says what to do.
lares_folder() {
  if [ -n "${LARES_HOME-}" ]; then
    case $LARES_HOME in /*) REPLY=$LARES_HOME/$1; return 0 ;; esac
    REPLY="LARES_HOME is '$LARES_HOME'; set it to a path that begins with '/'"
    return 1
  fi
  case $1 in
    config) xdg_folder XDG_CONFIG_HOME .config ;;
    share) xdg_folder XDG_DATA_HOME .local/share ;;
    cache) xdg_folder XDG_CACHE_HOME .cache ;;
    run) case ${XDG_RUNTIME_DIR-} in /*) REPLY=$XDG_RUNTIME_DIR ;; *) REPLY=/tmp/lares-$UID; return 0 ;; esac ;;
  esac || return 1
  REPLY=$REPLY/lares
}

# lares_units: the folder where the user's systemd looks for units of what is installed for this user alone.
lares_units() {
  xdg_folder XDG_DATA_HOME .local/share || return 1
  REPLY=$REPLY/systemd/user
}

# lares_exec_start PROGRAM: the line of a unit that starts it, whatever its path holds.
lares_exec_start() {
  REPLY=${1//\\/\\\\} REPLY=${REPLY//\"/\\\"} REPLY=${REPLY//%/%%} REPLY=${REPLY//\$/\$\$}
  REPLY="ExecStart=\"$REPLY\""
}

# holder_of FOLDER: the daemon that has it, as the file "lock" there names it, in `holder`; "?" where it names none, 1 where nobody has it.
holder_of() {
  holder=
  [ -f "$1/lock" ] && ! flock -n "$1/lock" true || return 1
  read -r holder <"$1/lock"
  case $holder in '' | *[!0-9]*) holder='?' ;; esac
}

# holds PROCESS FOLDER: whether the kernel says so; a number in a file proves nothing.
holds() {
  [ -f "$2/lock" ] && grep -q "FLOCK .* WRITE $1 [^ ]*:$(stat -c %i "$2/lock") " /proc/locks
}

# find_daemon PREFIX: the daemon in the run folder, into `runs`. That folder is one for each user, so it may be of another HOME;
# then it is put into `stranger`, too. Ours has our data, or runs from PREFIX.
find_daemon() {
  local run
  runs= stranger=
  lares_folder run && run=$REPLY && holder_of "$run" || return 0
  runs=$holder
  lares_folder share && holds "$runs" "$REPLY" && return 0
  holds "$runs" "$run" && [ "/proc/$runs/exe" -ef "$1/libexec/lares/laresd" ] && return 0
  stranger=$runs
}

# stop_daemon LARES: ends the daemon that find_daemon found, unless it is another home's.
stop_daemon() {
  [ -n "$runs" ] && [ -z "$stranger" ] && [ -x "$1" ] || return 0
  "$1" stop >/dev/null 2>&1 || true
}

# What Lares writes into these folders: FOLDER NAME SIGN. tools/uninstall --purge removes this and nothing else, so what
# comes to be written there gets its line here (a real daemon is held to it in tests/bootstrap/bootstrap_test.py: Purging).
#   NAME   a pattern; NAME.new-HEX and NAME.damaged-HEX are ours with it. One that ends in / is a folder with all in it.
#   SIGN   how only a file of ours begins (of a folder: its CACHEDIR.TAG), as a regular expression; one that begins
#          otherwise is somebody else's. With - the name says enough, once another line's sign was found in FOLDER;
#          with +END it does where the file that is called END instead of what follows * is there and bears its sign.
# A model is ours where tools/bootstrap.d/places.py names it or a pull brought it: others were put there by the person.
lares_written='
config lares.toml ^
config token ^lares-[0-9a-f]
config key -
config credentials.json ^\[
share version ^lares-data [0-9]
share lock ^[0-9]+[[:space:]]/.*/api[.]sock
share receipts.log ^LARESLOG
share receipts.log.new ^LARESLOG
share conversations.db -
share conversations.db-wal -
share first-answer -
share models/models.json -
share models/smollm2-135m-instruct-q4_1.gguf ^GGUF
share models/all-minilm-l6-v2.gguf ^GGUF
share models/*.gguf +.pulled.json
share models/*.licence.txt +.pulled.json
share models/*.template.txt +.pulled.json
share models/*.params.json +.pulled.json
share models/*.system.txt +.pulled.json
share models/*.pulled.json ^[{]"format":1,"known_in_advance":
share models/.pulls/ -
share models/.smollm2-135m-instruct-q4_1.gguf.part ^
share models/.all-minilm-l6-v2.gguf.part ^
cache laresd.log ^
cache laresd.log.old ^
cache machine.json ^[{]
cache variants.json ^[{]"chosen":"[^"]*","key":
cache variant-*.json ^[{]"chosen":"[^"]*","key":
cache build/ ^Signature: 8a477f597d28d172789f06886806bc55.*Lares
run lock ^[0-9]+[[:space:]]/.*/api[.]sock
run port -
run api.sock -
run api.sock.lock -
'
