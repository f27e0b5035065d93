"""Runs one test file under MicroPython: every function test_*, as pytest would.

    micropython tests/run_on_micropython.py TESTFILE SEARCHPATH...

Prints "BEGIN name", then "PASS name" or "FAIL name" after the traceback; test_under_micropython.py
reads this. Exit code 1 when a test failed, and when the file has none.
"""

import gc
import sys


def main(path, search):
    folder, _, name = path.rpartition("/")
    sys.path[:] = [folder] + search + [".frozen"]
    module = __import__(name[: -len(".py")])
    failed = total = 0
    for test in sorted(n for n in dir(module) if n.startswith("test_")):
        function = getattr(module, test)
        if not callable(function):
            continue
        total += 1
        gc.collect()
        print("BEGIN", test)
        try:
            function()
        except Exception as error:  # SystemExit and Ctrl-C end the run
            failed += 1
            sys.print_exception(error, sys.stdout)
            print("FAIL", test)
        else:
            print("PASS", test)
    return 1 if failed or not total else 0


sys.exit(main(sys.argv[1], sys.argv[2:]))
