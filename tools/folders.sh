# Where Lares keeps things, for the scripts that source this: the rule of src/app/home.cpp, where a path that does
# not begin with '/' is no answer (XDG Base Directory Specification). Each function leaves its answer in REPLY and
# starts no process: ./lares asks on every call.

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
