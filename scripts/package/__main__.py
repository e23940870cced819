"""Builds both Dify packages, their bundle and the workflows that name them: `make package` and `make sign`.

Byte-identical for the same commit. The format is that of Dify's own packager: a zip of what the folder's `.difyignore`
leaves, named by its identity, `author/name:version@checksum`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.package import archive, bundle, offline, signing
from scripts.package.archive import PackageError
from scripts.package.folder import MODEL, ROOT, TOOLS, commit_time, contents, uncommitted
from scripts.workflows import WorkflowError, filled

DIST = ROOT / "dist"
SETTINGS = """\
Dify's plugin daemon takes the signed packages with
  THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED=true
  THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS={}"""


def main() -> None:
    options = _options()
    if options.make_key:
        print(SETTINGS.format(signing.make_keys(options.make_key)))
        return
    key = signing.load_key(options.key) if options.key else None
    found = offline.wheels(options.offline) if options.offline else {}
    packages = [
        build(root, DIST, key=key, arch=options.offline, wheels=found) for root in (TOOLS, MODEL)
    ]
    whole = packages[0].with_suffix(".difybndl")
    bundle.build(packages, whole)
    identities = [archive.identity(archive.read(path)) for path in packages]
    apps = workflows(identities, DIST / f"workflows{_variant(options.offline)}")
    for path, identity in zip(packages, identities, strict=True):
        print(f"{path.relative_to(ROOT)}  {identity}")
    print(whole.relative_to(ROOT))
    print(f"{apps.relative_to(ROOT)}/")
    if uncommitted():
        print("These files hold changes that no commit has.")
    if options.key:
        print(SETTINGS.format(signing.public_of(options.key)))


def build(
    root: Path,
    target: Path,
    *,
    key: RSAPrivateKey | None = None,
    arch: str | None = None,
    wheels: dict[str, bytes] | None = None,
) -> Path:
    """Pack one folder into `target`, with the wheels for `arch`, signed with the key. Raises `PackageError`."""
    files = contents(root)
    name = archive.file_name(files)
    if arch:
        files = offline.offline(files, arch, wheels or {})
    comment = b""
    if key:
        files, comment = signing.signed(files, key, commit_time())
    path = target / f"{name}{_variant(arch)}.difypkg"
    archive.write(path, files, comment)
    return path


def workflows(identities: Sequence[str], folder: Path) -> Path:
    """Write the apps that name these packages, so that an import in Dify offers what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {identity.partition(":")[0]: identity for identity in identities}
    for name, content in filled(ROOT, named).items():
        (folder / name).write_bytes(content)
    return folder


def _variant(arch: str | None) -> str:
    return f"-offline-{arch}" if arch else ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make package", description=__doc__)
    parser.add_argument("--offline", choices=offline.ARCHITECTURES, help="add the wheels")
    parser.add_argument("--key", type=Path, help="sign with this private key")
    parser.add_argument("--make-key", type=Path, help="make a private key here, and no package")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except (PackageError, WorkflowError) as error:
        sys.exit(str(error))
