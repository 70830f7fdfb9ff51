#!/bin/bash
# Puts OneDR into an OpenNebula front-end, or takes it out. With ONE_LOCATION: into that self-contained tree.
set -euo pipefail
umask 022

usage() {
    cat <<'END'
install.sh [--dry-run] [--python PATH]      install or bring up to date
install.sh --hooks [--python PATH]          only create or update the hooks (oned must run)
install.sh --uninstall [--dry-run] [--force] [--python PATH]

  --python PATH  run the drivers with this interpreter, in which onedr can be imported already;
                 without it a virtual environment is made in LIB/onedr/venv
  --dry-run      show what would change, change nothing
  --force        uninstall although a datastore uses ceph_dr, or oned does not answer

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
SYSTEM_PYTHON=/usr/bin/python3
STEP=install
PYTHON=
OPTIONS=()

while [ $# -gt 0 ]; do
    case $1 in
        --python) [ $# -gt 1 ] || die "--python wants a path."; PYTHON=$2; shift ;;
        --python=*) PYTHON=${1#*=} ;;
        --hooks) STEP=hooks ;;
        --uninstall) STEP=uninstall ;;
        --dry-run | --force) OPTIONS+=("$1") ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; die "unknown option $1" ;;
    esac
    shift
done

# Runs the installer of this tree, whatever release of it the interpreter may have.
setup() {
    local interpreter=$1 step=$2
    shift 2
    PYTHONPATH=$SOURCE PYTHONDONTWRITEBYTECODE=1 "$interpreter" -m onedr.setup "$step" \
        --source "$SOURCE" --python "${PYTHON:-$VENV/bin/python}" "$@"
}

# Says which package brings a module the drivers cannot do without.
check_interpreter() {
    local wanted module package
    for wanted in rados:python3-rados rbd:python3-rbd augeas:python3-augeas lxml:python3-lxml pyone:pyone onedr:onedr; do
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
    [ -x "$SYSTEM_PYTHON" ] || die "there is no $SYSTEM_PYTHON. Install it: apt install python3 python3-venv"
    setup "$SYSTEM_PYTHON" preflight
    # Also replaces one that was left half-made.
    if ! "$VENV/bin/python" -m pip --version > /dev/null 2>&1; then
        "$SYSTEM_PYTHON" -m venv --clear --system-site-packages "$VENV" ||
            die "no virtual environment could be made in $VENV. Install what makes one: apt install python3-venv"
    fi
    # From a copy: pip builds inside the tree it is given, which may be read-only, or another site's install.
    COPY=$(mktemp -d)
    trap 'rm -rf -- "$COPY"' EXIT
    cp -r "$SOURCE"/{onedr,setup.cfg,pyproject.toml} "$COPY"
    [ ! -f "$SOURCE/README.md" ] || cp "$SOURCE/README.md" "$COPY"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "$COPY" ||
        die "OneDR could not be installed into $VENV (pip's reason is above). Run this again when that is mended."
}

if [ -n "$PYTHON" ]; then
    [ -x "$PYTHON" ] || die "--python $PYTHON: there is no such interpreter."
    PYTHON=$(cd "$(dirname "$PYTHON")" && pwd)/$(basename "$PYTHON")
fi

case $STEP in
    install)
        if [[ " ${OPTIONS[*]-} " == *" --dry-run "* ]]; then
            setup "${PYTHON:-$SYSTEM_PYTHON}" install "${OPTIONS[@]}"
            exit
        fi
        [ -n "$PYTHON" ] || make_environment
        check_interpreter "${PYTHON:-$VENV/bin/python}"
        setup "${PYTHON:-$VENV/bin/python}" install "${OPTIONS[@]}"
        ;;
    *)
        RUN=${PYTHON:-$VENV/bin/python}
        [ -x "$RUN" ] || RUN=$SYSTEM_PYTHON
        setup "$RUN" "$STEP" "${OPTIONS[@]}"
        if [ "$STEP" = uninstall ] && [[ " ${OPTIONS[*]-} " != *" --dry-run "* ]] && [ -f "$VENV/pyvenv.cfg" ]; then
            rm -rf -- "$VENV"
            rmdir --ignore-fail-on-non-empty -- "$(dirname "$VENV")"
        fi
        ;;
esac
