"""Rules about a bundle, and about all files of one release together."""

import json
from collections.abc import Iterator, Mapping, Set

import yaml
from pydantic import ValidationError

from scripts.package.archive import MANIFEST
from scripts.package.check.package import Declared, Finding, Package, loaded
from scripts.package.check.shapes import App, Bundle, Signature, Verification
from scripts.package.signing import VERIFICATION

ASSETS = "_assets/"


def signature_is_whole(package: Package, _: Declared) -> Iterator[str]:
    """A signature is two things, the zip's comment and a file; whether it is right, only the public key tells."""
    said = VERIFICATION in package.files
    if not package.comment and not said:
        return
    try:
        Signature.model_validate_json(package.comment)
        Verification.model_validate(json.loads(package.text(VERIFICATION)))
    except ValueError:
        yield f"the zip's comment and {VERIFICATION} are not both those of a signature."
    if list(package.files)[-1:] != [VERIFICATION]:
        yield f"{VERIFICATION} is not the last file."


def bundle_of(package: Package) -> Bundle | list[Finding]:
    """The bundle's manifest, or what is wrong with it."""
    try:
        return Bundle.model_validate(loaded(package.text(MANIFEST)))
    except (yaml.YAMLError, ValidationError) as error:
        return [Finding("bundle-fields", f"{MANIFEST}: {' '.join(str(error).split())}")]


def bundle_files(package: Package, bundle: Bundle) -> Iterator[Finding]:
    """It holds its icon, its README and its packages, and nothing else."""
    wanted = {ASSETS + dependency.value.path for dependency in bundle.dependencies}
    wanted |= {MANIFEST, "README.md", ASSETS + bundle.icon}
    for name in sorted(wanted - set(package.files)):
        yield Finding("bundle-files", f"{name} is not there.")
    for name in sorted(set(package.files) - wanted):
        yield Finding("bundle-files", f"{name} has no place in a bundle.")


def workflow_dependencies(content: bytes, identities: Set[str]) -> Iterator[Finding]:
    """An app names the packages beside it, by checksum: else Dify calls an installed package missing."""
    try:
        app = App.model_validate(loaded(content.decode()))  # JSON is YAML too
    except (ValueError, yaml.YAMLError) as error:
        yield Finding("workflow-dependencies", f"no app: {' '.join(str(error).split())}")
        return
    for dependency in app.dependencies:
        wanted = dependency.value.get("plugin_unique_identifier", "")
        if wanted not in identities:
            yield Finding(
                "workflow-dependencies", f"{wanted or dependency.type} is no package here."
            )


def versions_together(versions: Mapping[str, str]) -> Iterator[Finding]:
    """Packages and bundle of one release have one version; `versions` is by file name."""
    if len(set(versions.values())) > 1:
        said = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        yield Finding("one-version", f"the versions differ: {said}.")
