using System.Collections.Frozen;
using System.Numerics;

namespace LsglangSharp.Runtime.Text.Templates;

internal delegate bool Test(RenderContext context, object value, CallArguments arguments);

/// <summary>The tests that stand after <c>is</c>.</summary>
internal static class Tests
{
    private static readonly FrozenDictionary<string, Test> All = Build();

    public static Test? Find(string name) => All.GetValueOrDefault(name);

    private static FrozenDictionary<string, Test> Build()
    {
        var tests = new Dictionary<string, Test>
        {
            ["boolean"] = Plain("boolean", value => value is bool),
            ["callable"] = Plain("callable", value => value is UndefinedValue or (ICallable and not Cycler)),
            ["defined"] = Plain("defined", value => value is not UndefinedValue),
            ["divisibleby"] = (_, value, arguments) =>
                IsZero(Arithmetic.Modulo(value, arguments.Bind("test_divisibleby", 1, "num")[0]!)),
            ["escaped"] = Plain("escaped", value => value is Markup),
            ["even"] = Plain("even", value => IsZero(Arithmetic.Modulo(value, Box.Of(2)))),
            ["false"] = Plain("false", value => value is false),
            ["filter"] = Plain("filter", value =>
                Operators.AsText(value) is { } name && Filters.Find(name) is not null),
            ["float"] = Plain("float", value => value is double),
            ["in"] = (_, value, arguments) => Operators.Contains(arguments.Bind("test_in", 1, "seq")[0]!, value),
            ["integer"] = Plain("integer", value => value is long or BigInteger),
            ["iterable"] = Plain("iterable", Operators.IsIterable),
            ["lower"] = Plain("lower", value => StringMethods.HasCase(PythonText.Str(value), isUpper: false)),
            ["mapping"] = Plain("mapping", value => value is DictValue),
            ["none"] = Plain("none", value => value is NoneValue),
            ["number"] = Plain("number", Operators.IsNumber),
            ["odd"] = Plain("odd", value => Operators.AreEqual(Arithmetic.Modulo(value, Box.Of(2)), Box.Of(1))),
            ["sameas"] = (_, value, arguments) => AreSame(value, arguments.Bind("test_sameas", 1, "other")[0]!),
            ["sequence"] = Plain("sequence", value => value is string or Markup or ListValue or TupleValue or DictValue
                or RangeValue or UndefinedValue),
            ["string"] = Plain("string", value => value is string or Markup),
            ["test"] = Plain("test", value => Operators.AsText(value) is { } name && Find(name) is not null),
            ["true"] = Plain("true", value => value is true),
            ["undefined"] = Plain("undefined", value => value is UndefinedValue),
            ["upper"] = Plain("upper", value => StringMethods.HasCase(PythonText.Str(value), isUpper: true)),
        };
        (string Symbol, string[] Names)[] comparisons =
        [
            ("==", ["==", "eq", "equalto"]),
            ("!=", ["!=", "ne"]),
            ("<", ["<", "lt", "lessthan"]),
            ("<=", ["<=", "le"]),
            (">", [">", "gt", "greaterthan"]),
            (">=", [">=", "ge"]),
        ];
        foreach (var (symbol, names) in comparisons)
        {
            foreach (var name in names)
            {
                tests[name] = (_, value, arguments) => arguments.Positional is [var other]
                    ? Comparison.Holds(symbol, value, other)
                    : throw TemplateFault.Type(
                        $"{names[1]} expected 2 arguments, got {1 + arguments.Positional.Length}");
            }
        }

        return tests.ToFrozenDictionary();
    }

    private static Test Plain(string name, Func<object, bool> test) => (_, value, arguments) =>
        arguments.Positional.Length + arguments.KeywordCount == 0 ? test(value) : throw TemplateFault.Type(
            $"test_{name}() takes 1 positional argument but {1 + arguments.Positional.Length} were given");

    private static bool IsZero(object value) => Operators.AreEqual(value, Box.Of(0));

    // Small integers, constants and the same object are identical in Python too.
    private static bool AreSame(object left, object right) => ReferenceEquals(left, right)
        || (left.GetType() == right.GetType() && left is bool or long && left.Equals(right));
}
