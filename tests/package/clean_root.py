"""A Debian of the smallest kind in a folder, with nothing of ours: made by debootstrap once a day, then unpacked from the cache folder."""
import datetime
import os
import pathlib
import shutil
import subprocess
import unittest

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "kvtuner"


def repository():
    """(address, suite) that apt on this machine uses for Debian itself."""
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
                            capture_output=True, text=True).stdout
    for line in listed.splitlines():
        address, suite, component = line.split()
        if component == "main" and "-" not in suite and "security" not in address:
            return address, suite
    raise unittest.SkipTest("apt on this machine knows no Debian repository: apt-get update")


def make(folder):
    """Fills the new folder. Skips the test in words where that cannot be done."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("a clean root is made by root only")
    for tool in ("debootstrap", "bwrap"):
        if shutil.which(tool) is None:
            raise unittest.SkipTest(f"no {tool} on this machine: scripts/deps.sh --packages")
    kept = CACHE / "clean-root.tar"
    if not kept.is_file() or datetime.date.fromtimestamp(kept.stat().st_mtime) != datetime.date.today():
        address, suite = repository()
        done = subprocess.run(["debootstrap", "--variant=minbase", suite, str(folder), address], capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest(f"debootstrap could not get {suite} (offline?): {done.stdout[-300:]}")
        part = kept.with_name(f"{kept.name}.{os.getpid()}")
        subprocess.run(["tar", "-C", str(folder), "-cf", str(part), "."], check=True)
        part.rename(kept)
        return
    folder.mkdir()
    subprocess.run(["tar", "-C", str(folder), "-xpf", str(kept)], check=True)


def inside(root, *command, home="/root"):
    """The command line that runs a program with the folder as its whole file system; loopback is this machine's."""
    return ["bwrap", "--bind", str(root), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", home, "--clearenv",
            "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "HOME", home, "--setenv", "LANG", "C.UTF-8",
            "--setenv", "OMP_WAIT_POLICY", "passive", "--die-with-parent", *map(str, command)]


def install(root, package):
    """apt-get install of a .deb with what it depends on. Skips the test where the repository cannot be reached."""
    shutil.copy(package, root / "tmp" / package.name)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    apt = ["chroot", str(root), "apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    if subprocess.run([*apt, "update"], env=environment, capture_output=True).returncode != 0:
        raise unittest.SkipTest("apt-get update failed in the clean root: offline?")
    done = subprocess.run([*apt, "install", "-y", "--no-install-recommends", f"/tmp/{package.name}"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
