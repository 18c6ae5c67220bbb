"""The package by itself: `python3 -m unittest discover python/tests` with python/ on PYTHONPATH."""

import dataclasses
import enum
import os
import tempfile
import typing
import unittest

import murakkab
from murakkab.hints import Refused, Types, decode, encode, signature
from murakkab.stub import docs, quoted, stub
from murakkab.worker import Pipe, answers, load, tools


@dataclasses.dataclass
class Point:
    x: float
    note: typing.Optional[str] = None


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Hints(unittest.TestCase):
    def test_types(self):
        types = Types()
        for hint, name in [
            (str, "Text"),
            (typing.Optional[int], "Int?"),
            (typing.List[typing.List[bool]], "List[List[Bool]]"),
            (typing.Dict[str, int], "Json"),
            (typing.Any, "Json"),
            (murakkab.Image, "Image"),
            (Point, "Point"),
            (Colour, "Colour"),
            (typing.Literal["a", "b"], "Wanted"),
        ]:
            self.assertEqual(types.name(hint, "here", "Wanted"), name)
        self.assertEqual(types.items["Point"][1], "type Point {\n  x: Float\n  note: Text?\n}\n")
        self.assertEqual(types.items["Colour"][1], "enum Colour { red, green }\n")
        for wrong in (complex, bytes, typing.Literal[1], typing.Union[int, str], typing.Literal["for"]):
            with self.assertRaises(Refused):
                types.name(wrong, "here", "Wrong")

    def test_values_there_and_back(self):
        point = decode({"x": 3, "note": None}, Point)
        self.assertEqual((point, type(point.x)), (Point(3.0), float))
        self.assertEqual(encode([point]), [{"x": 3.0, "note": None}])
        self.assertEqual(encode(decode("red", Colour)), "red")
        self.assertIsNone(decode(None, typing.Optional[Point]))
        with tempfile.NamedTemporaryFile() as file:
            self.assertEqual(encode(murakkab.Image(file.name, pixels=4)), {"pixels": 4, "file": file.name})
        with self.assertRaises(ValueError):
            encode(murakkab.Image("/nonexistent.png"))
        for wrong in ({1: 2}, object(), {1, 2}):
            with self.assertRaises(TypeError):
                encode(wrong)

    def test_a_parameter_with_a_default_may_be_left_out(self):
        def f(a: str, b: int = 3) -> str:
            return a

        self.assertEqual(signature(f), ([("a", str, False), ("b", int, True)], str))


class Stubs(unittest.TestCase):
    def test_documentation_stays_a_comment(self):
        text = docs("Says.\n\n}\ntool evil implements x {}\n\u202e\x1b[2J" + "\nx" * 100)
        self.assertTrue(all(line.startswith("///") and "\u202e" not in line and "\x1b" not in line for line in text))
        self.assertEqual(len(text), 12)
        self.assertEqual(quoted('a"\\\n'), '"a\\"\\\\\\n"')

    def test_a_module(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "some_tools.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write("import murakkab\n@murakkab.tool\ndef hush(text: str) -> str:\n    return text\ndef other(): ...\n")
            found = tools(load(path))
            self.assertEqual(list(found), ["hush"])
            self.assertIn("task p_hush(text: Text) -> Text", stub(path, found, "p_"))


class Frames(unittest.TestCase):
    def test_a_frame_is_a_length_and_json(self):
        read, write = os.pipe()
        pipe = Pipe(os.dup(read), write, 100)
        pipe.send({"a": "é"})
        self.assertEqual(pipe.receive(), {"a": "é"})
        with self.assertRaises(ValueError):
            pipe.send("x" * 200)
        with self.assertRaises(ValueError):
            pipe.send(float("nan"))
        pipe.target.close()
        self.assertIsNone(pipe.receive())
        pipe.source.close()
        os.close(read)


@murakkab.tool
def half(of: int) -> float:
    return of / 2


class Together(unittest.TestCase):
    def answered(self, *given):
        calls = [{"arguments": {"of": of}, "folder": os.getcwd()} for of in given]
        found = answers(half, signature(half), calls, os.getcwd())
        return [answer.get("value", answer.get("error", {}).get("type")) for answer in found]

    def tearDown(self):
        half.__murakkab__.together = None

    def test_call_by_call_without_a_function_for_many(self):
        self.assertEqual(self.answered(1, "x", 3), [0.5, "TypeError", 1.5])

    def test_the_function_for_many_is_called_once(self):
        seen = []

        @murakkab.together(half)
        def halves(calls):
            seen.append([call["of"] for call in calls])
            return [ValueError("odd") if call["of"] % 2 else call["of"] / 2 for call in calls]

        self.assertEqual(self.answered(2, 3, 4), [1.0, "ValueError", 2.0])
        self.assertEqual(seen, [[2, 3, 4]])

    def test_as_many_results_as_calls(self):
        murakkab.together(half)(lambda calls: [])
        with self.assertRaises(ValueError):
            self.answered(1)

    def test_only_of_a_tool(self):
        with self.assertRaises(TypeError):
            murakkab.together(len)(len)


if __name__ == "__main__":
    unittest.main()
