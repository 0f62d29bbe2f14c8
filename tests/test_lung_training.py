"""`cxr train-lungs`: from phantoms to the weights of `cxr.lungs`."""

import warnings

import torch
from click.testing import CliRunner

import cxrlib as cxr
from coursekit import commands
from cxrlib.cli import main
from cxrlib.phantom import make_phantoms


def test_the_command_is_one_of_cxr():
    assert main.get_command(None, "train-lungs") is commands.train_lungs


def test_the_training_is_a_function_of_its_seed(tmp_path):
    def train(name, seed):
        args = f"train-lungs --out {tmp_path / name} --seed {seed} --steps 2 --phantoms 40 --quiet".split()
        done = CliRunner().invoke(main, args)
        assert done.exit_code == 0, done.output
        return (tmp_path / name).read_bytes()

    before = torch.get_rng_state()
    first, other = train("a.npz", "1"), train("c.npz", "2")
    assert (torch.get_rng_state() == before).all()
    assert first == train("b.npz", "1") != other
    assert len(first) < 1_000_000
    images = make_phantoms(4, 64, ("normal",), 3).images
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two steps teach little: it may find no lungs
        assert cxr.lungs(images, weights=tmp_path / "a.npz").shape == (4, 64, 64)
