"""Users of a real etcd: what each may do, and what happens to passwords and tokens that change."""

from __future__ import annotations

from pathlib import Path

from etcd_handoff.errors import (
    EtcdPermissionError,
    MemberNotFoundError,
    UnreachableError,
)
from etcd_handoff.lab.binaries.lookup import locate_binaries
from etcd_handoff.lab.processes import run
from tests.integration.etcd_gateways import UNKNOWN_ID, gateway_to, refused, serving, single


async def test_user_and_password(tmp_path: Path) -> None:
    """A user with the root role may do everything; others are told what etcd says; a forgotten token is renewed."""
    for name, password in (("root", "s3cr3t"), ("reader", "s3cr3t"), ("wrong", "nonsense")):
        (tmp_path / name).write_text(f"{password}\n")

    def user(name: str, file: str = "") -> dict[str, object]:
        return {"username": name, "password_file": tmp_path / (file or name)}

    async with single(tmp_path) as (url, etcd):
        etcdctl = [str(locate_binaries().etcdctl), f"--endpoints={url}"]
        async with gateway_to(url) as gateway:
            (member,) = (await serving(gateway, etcd)).members
        async with gateway_to(url, **user("root")) as gateway:
            await refused(gateway.observe(), EtcdPermissionError, words="authentication is not enabled")
        for setting in ("user add root:s3cr3t", "user grant-role root root", "user add reader:s3cr3t", "auth enable"):
            await said_well(*etcdctl, *setting.split())

        async with gateway_to(url) as gateway:
            await refused(gateway.observe(), EtcdPermissionError, words="user name is empty")
        async with gateway_to(url, **user("root", "wrong")) as gateway:
            await refused(gateway.observe(), EtcdPermissionError, words="authentication failed")
        async with gateway_to(url, **user("reader")) as gateway:
            await gateway.observe()
            await refused(gateway.remove_member(UNKNOWN_ID, member.id), EtcdPermissionError, words="permission denied")
            await refused(gateway.move_leader(member.id, member.id), EtcdPermissionError, words="permission denied")
            await refused(gateway.acquire_lock("run-1", "", member.id), EtcdPermissionError, words="permission denied")
            await gateway.commit_probe(member.id)
        async with gateway_to(url, **user("root")) as gateway:
            away = tmp_path / "away"
            (tmp_path / "root").rename(away)
            await refused(gateway.observe(), UnreachableError, words="root cannot be read: No such file")
            away.rename(tmp_path / "root")
            await gateway.observe()
            (tmp_path / "root").rename(away)
            await gateway.observe()  # with the token that it has
            away.rename(tmp_path / "root")
            (tmp_path / "renewed").write_text("renewed\n")
            await said_well(
                *etcdctl, "--user=root:s3cr3t", "user", "passwd", "root", "--interactive=false", stdin="renewed"
            )
            (tmp_path / "renewed").rename(tmp_path / "root")
            await gateway.observe()
            await said_well(
                *etcdctl, "--user=root:renewed", "user", "passwd", "root", "--interactive=false", stdin="s3cr3t"
            )
            (tmp_path / "root").write_text("s3cr3t\n")
            await gateway.observe()
            await gateway.observe()
            await refused(gateway.remove_member(UNKNOWN_ID, member.id), MemberNotFoundError)
            # Switching auth off makes etcd forget all tokens.
            await said_well(*etcdctl, "--user=root:s3cr3t", "auth", "disable")
            await said_well(*etcdctl, "auth", "enable")
            await gateway.observe()
            await refused(gateway.remove_member(UNKNOWN_ID, member.id), MemberNotFoundError)


async def said_well(*command: str, stdin: str | None = None) -> None:
    """The command succeeded."""
    status, _, errors = await run(command, {}, Path.cwd(), stdin)
    assert status == 0, errors
