"""A torchvision whose compiled part does not fit torch must not stop the library; checked in new interpreters."""

import importlib.util
import subprocess
import sys
import textwrap

import pytest

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)


def fresh(code: str, *paths) -> subprocess.CompletedProcess:
    """Run code in a new interpreter; ``paths`` come first on its search path."""
    prefix = "".join(f"import sys; sys.path.insert(0, {str(p)!r})\n" for p in paths)
    command = [sys.executable, "-c", prefix + textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def passes(code: str, *paths) -> str:
    done = fresh(code, *paths)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_torchvision
@pytest.mark.slow
def test_models_transforms_timm_and_cam_work_after_import():
    out = passes("""
        import cxrlib
        import torch, torchvision, timm, pytorch_grad_cam
        from torchvision.transforms import v2
        image = torch.rand(1, 3, 40, 40)
        assert torchvision.models.resnet18()(image).shape == (1, 1000)
        assert v2.Resize(20)(image).shape == (1, 3, 20, 20)
        assert timm.create_model("resnet18", num_classes=2)(image).shape == (1, 2)
        print(pytorch_grad_cam.GradCAM.__name__)
    """)
    assert out == "GradCAM"


@needs_torchvision
@pytest.mark.slow
def test_healing_agrees_with_what_a_plain_import_does():
    plain = fresh("import torchvision")
    healed = passes("import cxrlib, torchvision; import cxrlib._torchvision as t; print(t._library is not None)")
    assert healed == str("does not exist" in plain.stderr)


def test_importing_the_library_alone_loads_no_torch():
    assert passes("import cxrlib, sys; print('torch' in sys.modules)") == "False"


@needs_torchvision
def test_a_failed_import_can_be_healed_afterwards():
    passes("""
        try:
            import torchvision
        except RuntimeError:
            pass
        import cxrlib
        import torchvision
        assert torchvision.models.get_model("resnet18") is not None
    """)


@needs_torchvision
@pytest.mark.slow
def test_operators_that_were_filled_in_say_what_is_wrong():
    out = passes("""
        import cxrlib._torchvision as t
        import torch, torchvision
        boxes = torch.tensor([[0., 0., 1., 1.], [0., 0., 1., 1.]])
        for nms in (torchvision.ops.nms, torch.ops.torchvision.nms):
            try:
                print("kept", nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist())
            except RuntimeError as error:
                print("torchvision" in str(error) and "install" in str(error).lower() or str(error))
    """)
    assert set(out.splitlines()) in ({"True"}, {"kept [0]"})


@needs_torchvision
@pytest.mark.slow
def test_it_acts_only_once_and_not_after_an_import():
    passes("""
        from cxrlib._torchvision import heal  # importing the package has healed already
        import torchvision
        assert heal() == ()
    """)


def package(folder, files):
    (folder / "torchvision").mkdir()
    for name, text in files.items():
        (folder / "torchvision" / name).write_text(text)
    return folder


HEAL_ALONE = """
    import importlib.util
    spec = importlib.util.spec_from_file_location("alone", {file!r})
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
"""


@pytest.fixture
def alone():
    """Code that loads the healing module without the package, whose import heals already."""
    return HEAL_ALONE.format(file=importlib.util.find_spec("cxrlib._torchvision").origin)


def test_nothing_happens_without_torchvision(alone):
    code = (
        alone
        + """
    import sys, importlib.util
    find = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name == "torchvision" else find(name, *rest)
    assert module.heal() == ()
    assert "torch" not in sys.modules
    """
    )
    passes(code)


def test_nothing_happens_when_the_compiled_part_loads(alone, tmp_path):
    meta = "register_fake('torchvision::nms')"
    package(tmp_path, {"__init__.py": "", "_C.so": "", "_meta_registrations.py": meta})
    code = (
        alone
        + """
    import torch
    torch.ops.load_library = lambda path: None  # stands for a compiled part that fits
    assert module.heal() == ()
    assert not hasattr(torch.ops.torchvision, "nms")
    """
    )
    passes(code, tmp_path)


def test_every_operator_that_python_describes_is_defined(alone, tmp_path):
    meta = 'register_fake("torchvision::nms")\nimpl_abstract("torchvision::other")\n'
    package(tmp_path, {"__init__.py": "", "_C.so": "not a library", "_meta_registrations.py": meta})
    code = (
        alone
        + """
    import torch
    assert module.heal() == ("nms", "other"), module.heal()
    assert module.heal() == ()
    try:
        torch.ops.torchvision.other(torch.rand(1, 4), torch.rand(1), 0.5)
    except RuntimeError as error:
        assert "torchvision::other is not available" in str(error) and "same source" in str(error)
    else:
        raise SystemExit("no error")
    """
    )
    passes(code, tmp_path)
