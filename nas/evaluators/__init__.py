"""What a trial runs: training with bitnas's layers, or an evaluation of the user's own."""

from nas.evaluators.base import Evaluator, PrunedError, Report, Task, evaluators
from nas.evaluators.function import evaluator

__all__ = ["Evaluator", "PrunedError", "Report", "Task", "evaluator", "evaluators"]
