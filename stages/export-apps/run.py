"""Write the files that other programs want of a package, or say why they could not run its model."""

from importlib.metadata import version

from android_files import android_files, compiled_with_metadata
from app_package import COMPILED, read_package
from frigate_files import frigate_files

from _runtime import atomic_write, run, sha256_file, write_json


def main(task):
    """Everything is made before anything is written: a program that cannot run the model is told first."""
    task.tools["tflite-support"] = version("tflite-support")
    package = read_package(task.input("package").path)
    params, made, told = task.params, {}, {}
    if "frigate" in params["programs"]:
        files, facts, notes = frigate_files(package, params["frigate_folder"], params["frigate_device"])
        made["frigate"], told["frigate"] = files, dict(facts, notes=notes)
    if "android" in params["programs"]:
        files, facts, notes = android_files(package)
        made["android"], told["android"] = files, dict(facts, notes=notes)
        if package.compiled is not None:
            made["task-library"], told["task-library"] = {COMPILED: compiled_with_metadata(package)}, {"model": COMPILED, "notes": []}
    for folder, files in made.items():
        for name, content in files.items():
            with atomic_write(task.output / folder / name) as stream:
                stream.write(content)
    for program, facts in told.items():
        facts["files"] = {name: sha256_file(task.output / program / name) for name in made[program]}
        for note in facts["notes"]:
            task.warn(note)
    write_json(task.output / "apps.json", {"schema": 1, "classes": package.classes, "programs": told})
    task.metrics.update({"programs": len(told), "files": sum(map(len, made.values()))})


if __name__ == "__main__":
    run(main)
