# Sourced by the other scripts: finds a Python, keeps virtual environments up to date.
# Plain `venv` and `pip`, so that nothing else has to be on the machine; where `uv` is, it installs in a third of the
# time. bash 3.2 (macOS) will do.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# Nothing here may wait for an answer, be led astray by another environment, or draw bars into a log.
export PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off
unset PYTHONHOME PYTHONPATH
# Each process, and there are many, would compile every module again.
unset PYTHONDONTWRITEBYTECODE

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# find_python: prints a Python of 3.10 or newer that can make virtual environments. $PYTHON names the one to take.
find_python() {
  local candidate old='' bare=''
  if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
  else
    set -- python3 python python3.14 python3.13 python3.12 python3.11 python3.10
  fi
  for candidate in "$@"; do
    # A shim of a version manager is found and yet may not run.
    "$candidate" -c '' </dev/null >/dev/null 2>&1 || continue
    if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' </dev/null; then
      old=${old:-$candidate}
    elif ! "$candidate" -c 'import venv, ensurepip' </dev/null >/dev/null 2>&1; then
      bare=${bare:-$candidate}
    else
      printf '%s\n' "$candidate"
      return
    fi
  done
  if [ -n "$bare" ]; then
    fail "$bare has no venv module; on Debian and Ubuntu: apt install $("$bare" -c \
      'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  elif [ -n "$old" ]; then
    fail "needs Python 3.10 or newer, and $old is $("$old" -c \
      'import platform; print(platform.python_version())'); install a newer one, or name it: PYTHON=/path/to/python3"
  fi
  [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON does not run"
  fail "needs Python 3.10 or newer, and found none; install it, or name it: PYTHON=/path/to/python3"
}

# venv_python DIR: prints the interpreter of a virtual environment (Windows keeps it elsewhere).
venv_python() {
  if [ -x "$1/Scripts/python.exe" ]; then printf '%s\n' "$1/Scripts/python.exe"; else printf '%s\n' "$1/bin/python"; fi
}

# fingerprint PYTHON WORD...: prints a hash of what decides what an environment holds: the interpreter, where the clone
# lies (an editable installation points there), pyproject.toml, and the words.
fingerprint() {
  local python=$1
  shift
  "$python" - "$root" "$@" <<'PYTHON'
import hashlib
import pathlib
import sys

root, *words = sys.argv[1:]
parts = [sys.version, sys.base_prefix, root, *words]
whole = "\0".join(parts).encode() + pathlib.Path(root, "pyproject.toml").read_bytes()
print(hashlib.sha256(whole).hexdigest())
PYTHON
}

# quietly COMMAND...: runs it without input, and shows the end of what it printed only if it fails.
quietly() {
  local log code=0
  log=$(mktemp)
  "$@" </dev/null >"$log" 2>&1 || code=$?
  [ "$code" -eq 0 ] || tail -n 15 "$log" >&2
  rm -f "$log"
  return "$code"
}

# install PYTHON REQUIREMENT...: into the environment of an interpreter. What uv can't do here, pip does.
install() {
  local python=$1
  shift
  if command -v uv >/dev/null && UV_COMPILE_BYTECODE=1 quietly uv pip install --quiet --python "$python" "$@"; then
    return
  fi
  quietly "$python" -m pip install --quiet "$@"
}

# lists DIR ARGUMENT...: writes those of pip's lists of requirements that are a dependency group's, one NAME.txt each.
lists() {
  local dir=$1 name
  shift
  for name in "$@"; do
    case $name in
      "$dir"/*.txt)
        "$(venv_python "$dir")" "$root/scripts/requirements.py" "$(basename "$name" .txt)" </dev/null >"$name" || return ;;
    esac
  done
}

# ensure_venv DIR REQUIREMENT...: makes the virtual environment DIR with these requirements (arguments of pip, and
# group:NAME for a dependency group of pyproject.toml), unless it holds them already. The stamp is written last, so a run that was broken off is made good by the next one.
ensure_venv() {
  local dir=$1 python stamp word
  shift
  python=$(find_python) || exit 1
  stamp=$(fingerprint "$python" "$@")
  [ "$(cat "$dir/.stamp" 2>/dev/null)" != "$stamp" ] || return 0

  printf '%s: setting up %s (needed once; about a minute) ...\n' "$(basename "$0")" "${dir#"$root"/}" >&2
  # An editable installation needs a pip of 2022 or newer, which the first releases of Python 3.10 did not bring.
  for word in "$@"; do
    shift
    case $word in
      group:*) set -- "$@" -r "$dir/${word#group:}.txt" ;;
      *) set -- "$@" "$word" ;;
    esac
  done
  if ! { quietly "$python" -m venv --clear "$dir" && lists "$dir" "$@" &&
    quietly "$(venv_python "$dir")" -m pip install --quiet "pip>=22.3" &&
    (cd "$root" && install "$(venv_python "$dir")" "$@"); }; then
    fail "could not set up ${dir#"$root"/}: see above (no network?), then run this again"
  fi
  printf '%s\n' "$stamp" >"$dir/.stamp"
}
