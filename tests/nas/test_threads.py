"""Workers compute on one thread, and import torch only if a trial does."""

import subprocess
import sys


def test_torch_has_one_thread_once_it_is_imported() -> None:
    code = (
        "import sys; from nas.trials.worker import prepare_process; prepare_process(); prepare_process(); "
        "assert 'torch' not in sys.modules; import torch; print(torch.get_num_threads()); "
        "torch.set_num_threads(2); prepare_process(); print(torch.get_num_threads())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1", "1"]
