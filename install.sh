#!/bin/bash
# Puts OneDR into an OpenNebula front-end, or takes it out. With ONE_LOCATION: into that self-contained tree.
set -euo pipefail
umask 022

usage() {
    cat <<'END'
install.sh [--dry-run] [--python PATH] [--wheels DIR] [--force-version]   install or bring up to date
install.sh --hooks [--python PATH]                         create or update the hooks; does the running oned know ceph_dr?
install.sh --uninstall [--dry-run] [--force] [--python PATH]

  --python PATH    run the drivers with this interpreter, in which onedr can be imported already; without it the
                   one OneDR came with (package, wheel), else a virtual environment is made in LIB/onedr/venv
  --wheels DIR     take what the virtual environment needs from this folder, and ask no package index; a folder
                   wheels beside install.sh (make wheels) is taken without being asked for
  --dry-run        show what would change, change nothing
  --force-version  install into a release of OpenNebula that OneDR was not made for
  --force          uninstall although a datastore uses ceph_dr, or oned does not answer

ONE_LOCATION   the folder of a self-contained front-end; unset: /etc/one, /var/lib/one, /usr/lib/one
ONE_XMLRPC, ONE_AUTH   oned's endpoint and the file with the credentials, for the hooks
END
}

die() {
    echo "install.sh: $*" >&2
    exit 1
}

SOURCE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
LIB=${ONE_LOCATION:+$ONE_LOCATION/lib}
VENV=${LIB:-/usr/lib/one}/onedr/venv
SEARCH=$([ ! -d "$SOURCE/onedr" ] || echo "$SOURCE")
STEP=install
PYTHON=
BASE=
WHEELS=
OPTIONS=()
GIVEN=("$@")

while [ $# -gt 0 ]; do
    case $1 in
        --python) [ $# -gt 1 ] || die "--python wants a path."; PYTHON=$2; shift ;;
        --python=*) PYTHON=${1#*=} ;;
        --wheels) [ $# -gt 1 ] || die "--wheels wants a folder."; WHEELS=$2; shift ;;
        --wheels=*) WHEELS=${1#*=} ;;
        --hooks) STEP=hooks ;;
        --uninstall) STEP=uninstall ;;
        --dry-run | --force | --force-version) OPTIONS+=("$1") ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; die "unknown option $1" ;;
    esac
    shift
done

# Runs the installer of this tree, whatever release of it the interpreter may have; an installed one has no tree.
setup() {
    local interpreter=$1 step=$2
    shift 2
    # From the root: -m looks into the current folder first, which may be another OneDR's tree.
    (cd / && PYTHONPATH=$SEARCH PYTHONDONTWRITEBYTECODE=1 "$interpreter" -m onedr.install "$step" \
        --source "$SOURCE" --python "${PYTHON:-$VENV/bin/python}" "$@")
}

# Why a Python cannot be the drivers' base; nothing when it can.
unfit() {
    "$1" -E - 2> /dev/null <<'END' || echo "does not run"
import importlib, sys
missing = []
for name in ("rados", "rbd"):
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)
version = "%d.%d" % sys.version_info[:2]
if sys.version_info < (3, 9):
    print("is Python " + version)
elif sys.prefix != sys.base_prefix:
    print("belongs to a virtual environment")
elif missing:
    print("(%s) cannot import %s" % (version, " and ".join(missing)))
END
}

# Every Python on the path, once: python3 is mostly a link to python3.N beside it, and /bin to /usr/bin. That of a
# virtual environment is a link, too, and another one than that to which it leads.
pythons() {
    local folder candidate real seen=:
    local -a folders
    IFS=: read -ra folders <<< "$PATH"
    for folder in "${folders[@]}"; do
        for candidate in "$folder"/python3 "$folder"/python3.[0-9] "$folder"/python3.[0-9][0-9]; do
            [ -x "$candidate" ] && [ ! -d "$candidate" ] || continue
            real=$(readlink -f "$folder")/$(basename "$(readlink -f "$candidate")")
            [[ $seen != *":$real:"* ]] || continue
            seen+=$real:
            echo "$candidate"
        done
    done
}

# Sets BASE to the first Python on the path that has Ceph's modules; says of each why not when there is none.
find_base() {
    local candidate why reasons=
    while read -r candidate; do
        why=$(unfit "$candidate")
        [ -n "$why" ] || { BASE=$candidate; return 0; }
        reasons+=" $candidate $why;"
    done < <(pythons)
    die "there is no Python for OneDR:${reasons:- none is on the path;} it needs 3.9 or newer with Ceph's own modules" \
        "rados and rbd. Install them: apt install python3-rados python3-rbd"
}

# Sets RUN to a Python that can take away what was laid down, whatever is left of the one that laid it.
find_runner() {
    while read -r RUN; do
        [ -x "$RUN" ] && (cd / && PYTHONPATH=$SEARCH "$RUN" -c 'import augeas, onedr.install') 2> /dev/null && return 0
    done < <(echo "${PYTHON:-$VENV/bin/python}"; pythons)
    die "no Python on the path has both OneDR and augeas. Install augeas (apt install python3-augeas), or name a Python with --python."
}

# Says which package brings a module the drivers cannot do without.
check_interpreter() {
    local wanted module package
    (cd / && "$1" -E -c 'import sys, rados, rbd, augeas, lxml, onedr; sys.exit(sys.version_info < (3, 9))') 2> /dev/null && return 0
    "$1" -E -c 'import sys; sys.exit(sys.version_info < (3, 9))' || die "$1 is not Python 3.9 or newer. Choose another with --python."
    for wanted in rados:python3-rados rbd:python3-rbd augeas:python3-augeas lxml:python3-lxml onedr:onedr; do
        module=${wanted%%:*} package=${wanted#*:}
        (cd / && "$1" -E -c "import $module") 2>/dev/null && continue
        case $package in
            python3-*) die "$1 cannot import $module. Install it (apt install $package) for the Python it belongs to;" \
                "a virtual environment sees it only when made with --system-site-packages." ;;
            *) die "$1 cannot import $module. Install OneDR into it: $1 -m pip install $SOURCE" ;;
        esac
    done
}

make_environment() {
    setup "$BASE" preflight "${OPTIONS[@]}"
    # Also replaces one that was left half-made, or whose Python is gone.
    if ! "$VENV/bin/python" -c 'import pip, rados, rbd' > /dev/null 2>&1; then
        "$BASE" -m venv --clear --system-site-packages "$VENV" ||
            die "no virtual environment could be made in $VENV. Install what makes one: apt install python3-venv"
    fi
    # From a copy: pip builds inside the tree it is given, which may be read-only, or another site's install.
    COPY=$(mktemp -d)
    trap 'rm -rf -- "$COPY"' EXIT
    cp -r "$SOURCE"/{onedr,drivers,hooks,remotes,share,install.sh,setup.cfg,pyproject.toml,README.md,LICENSE} "$COPY"
    local -a quiet=(--quiet --disable-pip-version-check) from=()
    local -a pip=("$VENV/bin/python" -m pip) build=("$COPY/build/bin/python" -m pip)
    [ -z "$WHEELS" ] || from=(--no-index --find-links "$WHEELS")
    # An index that is not there shows at once; pip's own five attempts take 38 s.
    export PIP_RETRIES=${PIP_RETRIES:-1} PIP_TIMEOUT=${PIP_TIMEOUT:-15}
    # These versions with these digests, or none. OneDR is built where no other module is seen; pip is copied there,
    # because to unpack it a second time takes three seconds.
    "$BASE" -m venv --without-pip "$COPY/build" &&
        cp -r "$VENV"/lib/python3*/site-packages/pip "$COPY"/build/lib/python3*/site-packages/ &&
        "${build[@]}" install "${quiet[@]}" --require-hashes "${from[@]}" -r "$COPY/share/requirements-build.txt" &&
        "${build[@]}" wheel "${quiet[@]}" --no-index --no-deps --no-build-isolation -w "$COPY/built" "$COPY" &&
        "${pip[@]}" install "${quiet[@]}" --require-hashes "${from[@]}" -r "$COPY/share/requirements.txt" &&
        "${pip[@]}" install "${quiet[@]}" --no-index --no-deps --force-reinstall "$COPY"/built/*.whl ||
        die "OneDR could not be installed into $VENV (pip's reason is above). Fix that and run this again. Without" \
            "a package index: make wheels on a machine that has one, and put its folder wheels beside install.sh" \
            "(or name it: --wheels DIR); or make deb there, and install that package here (docs/install.md)."
}

# All of a self-contained front-end is its owner's: root would run and write what that user may replace meanwhile.
become_owner() {
    local owner user
    [ "$EUID" = 0 ] && [ -d "$LIB" ] && [ ! -O "$LIB" ] || return 0
    owner=$(stat -Lc %u -- "$LIB")
    user=$(id -nu -- "$owner" 2> /dev/null) ||
        die "$LIB belongs to user id $owner, whom this machine does not know. Give it to the front-end's user."
    local -a become=(setpriv "--reuid=$owner" "--regid=$(id -g "$user")" --init-groups --
        env "HOME=$(getent passwd "$user" | cut -d: -f6)" "USER=$user" "LOGNAME=$user")
    "${become[@]}" test -r "$SOURCE/install.sh" ||
        die "$ONE_LOCATION belongs to $user, who may not read $SOURCE. Put OneDR where $user may read it, and run this again."
    exec "${become[@]}" "$SOURCE/install.sh" "$@"
}

[ -z "$LIB" ] || become_owner "${GIVEN[@]}"

if [ "$STEP$WHEELS$PYTHON" = install ] && [ -d "$SOURCE/onedr" ] && [ -d "$SOURCE/wheels" ]; then
    WHEELS=$SOURCE/wheels
fi
if [ -n "$WHEELS" ]; then
    [ -d "$WHEELS" ] || die "--wheels $WHEELS: there is no such folder."
    WHEELS=$(cd "$WHEELS" && pwd)
    [ -z "$PYTHON" ] && [ "$STEP" = install ] && [ -d "$SOURCE/onedr" ] ||
        die "--wheels is for the virtual environment that install.sh makes from the source tree, without --python."
fi

if [ -n "$PYTHON" ]; then
    [ -x "$PYTHON" ] || die "--python $PYTHON: there is no such interpreter."
    PYTHON=$(cd "$(dirname "$PYTHON")" && pwd)/$(basename "$PYTHON")
elif [ ! -d "$SOURCE/onedr" ]; then
    # PREFIX/share/onedr of a wheel or of the Debian package: the interpreter is PREFIX/bin/python3.
    PYTHON=$(dirname "$(dirname "$SOURCE")")/bin/python3
    [ -x "$PYTHON" ] || die "there is no $PYTHON, for which OneDR was installed. Name the interpreter with --python."
fi

case $STEP in
    install)
        [ -n "$PYTHON" ] || find_base
        if [[ " ${OPTIONS[*]-} " == *" --dry-run "* ]]; then
            setup "${PYTHON:-$BASE}" install "${OPTIONS[@]}"
            exit
        fi
        [ -n "$PYTHON" ] || make_environment
        check_interpreter "${PYTHON:-$VENV/bin/python}"
        setup "${PYTHON:-$VENV/bin/python}" install "${OPTIONS[@]}"
        # An environment that an earlier run made, before OneDR came as a package.
        [ -z "$PYTHON" ] || [[ $PYTHON == "$VENV"/* ]] || rm -rf -- "$VENV"
        ;;
    *)
        find_runner
        setup "$RUN" "$STEP" "${OPTIONS[@]}"
        if [ "$STEP" = uninstall ] && [[ " ${OPTIONS[*]-} " != *" --dry-run "* ]] && [ -d "$VENV" ]; then
            rm -rf -- "$VENV"
            rmdir --ignore-fail-on-non-empty -- "$(dirname "$VENV")"
        fi
        ;;
esac
