"""The part of the grader that runs inside the sandbox, beside the student's code. It knows no check."""
