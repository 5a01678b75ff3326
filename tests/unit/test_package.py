import subprocess
import sys

import pytest

import longsynth


def test_importing_the_package_imports_nothing_heavy():
    heavy = "{'torch', 'polars', 'pandas', 'pytorch_lightning', 'matplotlib', 'sklearn'}"
    code = f"import sys, longsynth; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_using_a_cohort_imports_no_torch():
    code = "import sys, longsynth; longsynth.load_pbc(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", longsynth.__all__)
def test_every_public_name_is_there(name):
    value = getattr(longsynth, name)
    assert value.__doc__ and value.__module__.startswith("longsynth.")
    assert name in dir(longsynth)


def test_there_are_few_public_names_and_no_others():
    assert len(longsynth.__all__) <= 16
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = longsynth.nothing
