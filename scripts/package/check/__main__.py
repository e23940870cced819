"""Holds package files and bundles against the rules of Dify's daemon and marketplace: `make package-check`."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from scripts.package import signing
from scripts.package.archive import PackageError, identity, read
from scripts.package.check import code, files, forms, manifest, pages, release, requirements
from scripts.package.check.package import (
    Declared,
    Finding,
    Package,
    Unreadable,
    declared,
    opened,
)

type Rule = Callable[[Package, Declared], Iterator[str]]
PACKAGE, BUNDLE, WORKFLOWS = ".difypkg", ".difybndl", (".yml", ".json")
BUNDLE_RULES: tuple[Rule, ...] = (files.safe_paths, files.bundle_size, files.no_secrets)
RULES: tuple[Rule, ...] = (
    files.safe_paths,
    files.size,
    files.no_surplus_files,
    files.no_secrets,
    files.text_is_utf8,
    files.sdk_not_hidden,
    manifest.no_model_beside_a_tool,
    manifest.one_provider_of_a_kind,
    manifest.author,
    manifest.permissions,
    manifest.not_verified_by_itself,
    pages.english_readme,
    pages.chinese_readme,
    pages.readme_pictures,
    pages.privacy_page,
    pages.both_languages,
    pages.icons,
    pages.pictures,
    forms.tool_names_differ,
    forms.tool_parameters,
    forms.tool_outputs,
    forms.credentials,
    forms.no_secret_of_an_endpoint,
    forms.endpoint_paths,
    forms.model_kinds,
    forms.model_positions,
    forms.models,
    code.python_parses,
    code.entry_point,
    code.sources,
    code.model_sources,
    code.harmless_python,
    code.no_dead_code,
    requirements.bounded_requirements,
    requirements.one_way_to_install,
    requirements.wheels,
    release.signature_is_whole,
)


def main() -> None:
    options = _options()
    findings = list(check(options.files, options.public_key))
    for name, finding in findings:
        print(f"{name}: {finding.rule}: {finding.sentence}")
    if findings:
        sys.exit(f"{len(findings)} broken rules.")
    print(f"{len(options.files)} files keep all rules.")


def check(paths: Sequence[Path], public_key: Path | None = None) -> Iterator[tuple[str, Finding]]:
    """Everything that is wrong with these files of one release, each with the file's name."""
    packages = [path for path in paths if path.suffix == PACKAGE]
    versions = {}
    for path in paths:
        if path.suffix in WORKFLOWS:
            continue
        found, versions[path.name] = check_file(path.read_bytes(), bundle=path.suffix == BUNDLE)
        if public_key and path in packages:
            found += _signed(path, public_key)
        yield from ((path.name, finding) for finding in found)
    for finding in release.versions_together({name: v for name, v in versions.items() if v}):
        yield "all", finding
    identities = {identity(read(path)) for path in packages if versions[path.name]}
    for path in paths:
        if path.suffix in WORKFLOWS:
            for finding in release.workflow_dependencies(path.read_bytes(), identities):
                yield path.name, finding


def check_file(content: bytes, *, bundle: bool = False) -> tuple[list[Finding], str]:
    """What is wrong with one package or bundle, and its version."""
    try:
        package = opened(content)
    except Unreadable as error:
        return [Finding("readable", f"this is no zip: {error}.")], ""
    return _bundle(package) if bundle else _package(package)


def _package(package: Package) -> tuple[list[Finding], str]:
    told = declared(package)
    found = told.findings + _broken(RULES, package, told)
    return found, told.manifest.version if told.manifest else ""


def _bundle(package: Package) -> tuple[list[Finding], str]:
    """Of the bundle itself and of each package in it."""
    bundle = release.bundle_of(package)
    if isinstance(bundle, list):
        return bundle, ""
    found = _broken(BUNDLE_RULES, package, Declared())
    found += release.bundle_files(package, bundle)
    versions = {"the bundle": bundle.version}
    for dependency in bundle.dependencies:
        name = dependency.value.path
        if (asset := package.files.get(release.ASSETS + name)) is not None:
            inside, versions[name] = check_file(asset)
            found += [Finding(one.rule, f"{name}: {one.sentence}") for one in inside]
    found += release.versions_together({name: v for name, v in versions.items() if v})
    return found, bundle.version


def _broken(rules: Sequence[Rule], package: Package, told: Declared) -> list[Finding]:
    return [
        Finding(rule.__name__.replace("_", "-"), sentence)
        for rule in rules
        for sentence in rule(package, told)
    ]


def _signed(path: Path, public_key: Path) -> list[Finding]:
    try:
        signing.verify(path, public_key)
    except PackageError as error:
        return [Finding("signed-with-this-key", str(error))]
    return []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make package-check", description=__doc__)
    parser.add_argument("files", nargs="+", type=_file)
    parser.add_argument(
        "--public-key", type=Path, help="the packages are signed with its other half"
    )
    return parser.parse_args()


def _file(name: str) -> Path:
    if not Path(name).is_file():
        raise argparse.ArgumentTypeError(
            f"{name} is no file; `make package` builds those of dist/."
        )
    return Path(name)


if __name__ == "__main__":
    main()
