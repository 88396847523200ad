"""The mallocs that the server is measured on: glibc's, Mallow, those that Debian packages, any that is named."""

import glob
import os
import subprocess

# Name, how the library's file name begins (the rest is a version), Debian package.
PACKAGED = [
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("mimalloc", "libmimalloc.so.", "libmimalloc2.0"),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
]
DIRECTORIES = ["/usr/local/lib", f"/usr/lib/{os.uname().machine}-linux-gnu", "/usr/lib64", "/usr/lib"]
SETTINGS = ("MALLOW_", "MALLOC_", "MIMALLOC_", "TCMALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")


class Malloc:
    def __init__(self, name, library=None, settings=None, command=None, version="", ours=False):
        self.name = name
        self.library = library
        self.environment = {**(settings or {}), **({"LD_PRELOAD": library} if library else {})}
        # Another program than the one that is measured on the others.
        self.command = command
        self.version = version
        self.ours = ours


def packaged(name):
    for entry in PACKAGED:
        if entry[0] == name:
            for directory in DIRECTORIES:
                # The shortest is the one named by the library's soname.
                for path in sorted(glob.glob(f"{directory}/{entry[1]}*"), key=lambda path: (len(path), path)):
                    query = subprocess.run(
                        ["dpkg-query", "-W", "-f=${Version}", entry[2]], capture_output=True, text=True)
                    return Malloc(name, path, version=query.stdout if query.returncode == 0 else "")
    return None


def find(mallow, extra, settings, commands, only):
    """The mallocs, glibc's first. `extra` are NAME=PATH, `settings` NAME:VAR=VALUE[,VAR=VALUE…] (Mallow with these),
    `commands` NAME=PROGRAM (a server that is linked with Mallow)."""
    found = [Malloc("glibc", version=os.confstr("CS_GNU_LIBC_VERSION").split()[-1])]
    for name, _, package in PACKAGED:
        if malloc := packaged(name):
            found.append(malloc)
        else:
            print(f"Not installed: apt-get install {package}")
    for pair in extra:
        name, _, path = pair.partition("=")
        found.append(Malloc(name, existing(path)))
    found.append(Malloc("mallow", existing(mallow), ours=True))
    for text in settings:
        name, _, pairs = text.partition(":")
        values = dict(pair.split("=", 1) for pair in pairs.split(","))
        found.append(Malloc(name, existing(mallow), values, ours=True))
    for pair in commands:
        name, _, path = pair.partition("=")
        found.append(Malloc(name, command=[existing(path)], ours=True))
    if only:
        wanted = only.split(",")
        if missing := sorted(set(wanted) - {malloc.name for malloc in found}):
            raise SystemExit(f"--only: not found: {', '.join(missing)}")
        found = [malloc for malloc in found if malloc.name in wanted]
    if len({malloc.name for malloc in found}) != len(found):
        raise SystemExit("two mallocs have the same name")
    return found


def existing(path):
    if not os.path.exists(path):
        raise SystemExit(f"there is no file {path}")
    return os.path.abspath(path)


def settings_in_environment():
    """What is set for a malloc already, and would be for all of them."""
    return sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(SETTINGS))
