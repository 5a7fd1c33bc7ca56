"""A console script's function: what it sees, and what it gives back."""
import json
import multiprocessing
import sys


def double(number):
    return number * 2


class Command:
    @staticmethod
    def run():
        if sys.argv[1:] == ["name"]:
            print(sys.argv[0])
            return 0
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            doubled = pool.map(double, [21])
        import __main__
        print(json.dumps({
            "name": __name__, "file": __file__, "spec": __spec__.name, "main": [__main__.__name__, repr(__main__.__spec__)],
            "path": [folder for folder in sys.path if "-packages" in folder], "arguments": sys.argv[1:], "doubled": doubled,
        }))
        return 5
